-- What the HTTP API keeps: tokens (their hashes only), analyses that people asked for, and when each pattern last changed.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE api_tokens (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    scope text NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
    token_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
COMMENT ON TABLE api_tokens IS 'Who may use the HTTP API. A token itself is stored nowhere.';
COMMENT ON COLUMN api_tokens.id IS 'Random; the first part of the token.';
COMMENT ON COLUMN api_tokens.name IS 'What or whom it is for; feedback is signed with it.';
COMMENT ON COLUMN api_tokens.scope IS 'What it allows: read; write = that, events, feedback and analyses; admin = everything.';
COMMENT ON COLUMN api_tokens.token_hash IS 'SHA-256 of the token, which holds 256 random bits.';
COMMENT ON COLUMN api_tokens.created_at IS 'When it was made (wall clock).';
COMMENT ON COLUMN api_tokens.expires_at IS 'From when on it is refused (wall clock); null = never.';
COMMENT ON COLUMN api_tokens.revoked_at IS 'When it was revoked (wall clock); null = it was not.';
COMMENT ON COLUMN api_tokens.last_used_at IS 'When it was last seen, to a minute (wall clock); null = never.';

CREATE TABLE analyses (
    id uuid PRIMARY KEY,
    request jsonb NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status text NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    progress float8 NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    cancel_requested boolean NOT NULL DEFAULT false,
    owner uuid,
    started_at timestamptz,
    heartbeat_at timestamptz,
    finished_at timestamptz,
    result jsonb,
    error text
) WITH (fillfactor = 50);
CREATE INDEX idx_analyses_newest ON analyses (requested_at, id);
CREATE INDEX idx_analyses_waiting ON analyses (requested_at) WHERE status IN ('queued', 'running');
COMMENT ON TABLE analyses IS 'Analyses on demand: a job a row, worked on by one API process at a time.';
COMMENT ON COLUMN analyses.id IS 'Random, or derived from the token and the caller''s idempotency key.';
COMMENT ON COLUMN analyses.request IS 'What is to be analysed.';
COMMENT ON COLUMN analyses.requested_by IS 'Name of the token that asked.';
COMMENT ON COLUMN analyses.requested_at IS 'When it was asked for (wall clock).';
COMMENT ON COLUMN analyses.status IS 'queued, running, succeeded, failed or cancelled.';
COMMENT ON COLUMN analyses.progress IS 'Share of the history that is judged, 0 to 1.';
COMMENT ON COLUMN analyses.attempts IS 'How often it was begun; more than once where a process ended under it.';
COMMENT ON COLUMN analyses.cancel_requested IS 'Whether somebody wants it to end.';
COMMENT ON COLUMN analyses.owner IS 'The attempt that works on it: no other one may write its outcome.';
COMMENT ON COLUMN analyses.started_at IS 'When it was first begun (wall clock).';
COMMENT ON COLUMN analyses.heartbeat_at IS 'When its owner was last heard of (wall clock); silent for long, it is begun again.';
COMMENT ON COLUMN analyses.finished_at IS 'When it ended (wall clock); null = it has not.';
COMMENT ON COLUMN analyses.result IS 'What was found; null = nothing yet.';
COMMENT ON COLUMN analyses.error IS 'Why it failed, in one line.';

CREATE TABLE pattern_updates (
    pattern_id uuid PRIMARY KEY,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    is_gone boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
CREATE INDEX idx_pattern_updates_newest ON pattern_updates (changed_at, pattern_id);
COMMENT ON TABLE pattern_updates IS 'When each pattern last changed by the wall clock: what live views follow.';
COMMENT ON COLUMN pattern_updates.pattern_id IS 'The pattern, as in detected_patterns.id; it may be gone.';
COMMENT ON COLUMN pattern_updates.changed_at IS 'When its row was last written (wall clock), shortly before the commit.';
COMMENT ON COLUMN pattern_updates.is_gone IS 'Whether it was taken back.';

CREATE FUNCTION note_pattern_updates() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO pattern_updates (pattern_id, changed_at, is_gone)
    SELECT id, clock_timestamp(), TG_OP = 'DELETE' FROM changed
    ON CONFLICT (pattern_id) DO UPDATE SET changed_at = excluded.changed_at, is_gone = excluded.is_gone;
    IF FOUND THEN
        PERFORM pg_notify('hindsight_patterns', '');
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION note_pattern_updates IS 'Notes when a statement has changed which patterns, and wakes live views.';
CREATE TRIGGER follow_inserted AFTER INSERT ON detected_patterns REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_pattern_updates();
CREATE TRIGGER follow_updated AFTER UPDATE ON detected_patterns REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_pattern_updates();
CREATE TRIGGER follow_deleted AFTER DELETE ON detected_patterns REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_pattern_updates();
INSERT INTO pattern_updates (pattern_id, changed_at)
SELECT id, coalesce(written_at, clock_timestamp()) FROM detected_patterns;
