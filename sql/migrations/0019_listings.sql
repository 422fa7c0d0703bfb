-- Pages of listings go by key: newest first, or by score, with the id between equals.
CREATE INDEX idx_detected_patterns_newest ON detected_patterns (detected_at, id);
CREATE INDEX idx_dead_letters_newest ON dead_letters (received_at, id);
DROP INDEX idx_dead_letters_received_at;
CREATE INDEX idx_optimization_opportunities_score ON optimization_opportunities (priority_score, id);
