-- How far each file of `hindsight import` has come. A checkpoint is written after the rows that it speaks of.

CREATE TABLE imports (
    input text PRIMARY KEY,
    together text,
    bytes bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    lines bigint NOT NULL DEFAULT 0 CHECK (lines >= 0),
    within_line boolean NOT NULL DEFAULT false,
    digest bytea,
    state bytea,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE imports IS
    'Files given to hindsight import, and how far each of them has come: where the next import goes on.';
COMMENT ON COLUMN imports.input IS 'The input, as in stream_counters.input.';
COMMENT ON COLUMN imports.together IS
    'Names of the inputs whose aggregates add up with those of this one, one a line; null = it stands alone.';
COMMENT ON COLUMN imports.bytes IS 'Bytes of text read and written so far; of a .gz file, after unpacking.';
COMMENT ON COLUMN imports.lines IS 'Lines read and written so far.';
COMMENT ON COLUMN imports.within_line IS 'Whether that is in the middle of a line that was too long.';
COMMENT ON COLUMN imports.digest IS 'BLAKE2b (16 bytes) of these bytes: tells whether the file is still the same; null = not begun.';
COMMENT ON COLUMN imports.state IS 'Open windows, series and counts at this place, as a snapshot; null = not begun.';
COMMENT ON COLUMN imports.started_at IS 'When the import began (wall clock).';
COMMENT ON COLUMN imports.updated_at IS 'When this row was written (wall clock).';
COMMENT ON COLUMN imports.finished_at IS 'When the end of the file was written (wall clock); null = not yet.';
