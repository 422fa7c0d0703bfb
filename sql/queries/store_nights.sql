-- Nights that were worked through, the latest first.
SELECT id, range_start, range_end, engine, status, problem, summary, started_at, finished_at, skipped_parts, seconds
FROM nightly_history ORDER BY range_end DESC, started_at DESC, id LIMIT %(most)s
