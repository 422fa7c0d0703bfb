-- What the function of each twin says, for people.
COMMENT ON FUNCTION storage_sizes IS 'The rows of the view storage.';

CREATE VIEW storage AS
SELECT
    table_name, pieces, compressed_pieces, rows_estimate, bytes, bytes_uncompressed, oldest, newest, kept_for,
    compressed_after
FROM storage_sizes();
COMMENT ON VIEW storage IS 'How many rows each table has, how much room they take, and how long they are kept.';
COMMENT ON COLUMN storage.table_name IS 'The table.';
COMMENT ON COLUMN storage.pieces IS 'Chunks or partitions it is cut into; 0 = it is one.';
COMMENT ON COLUMN storage.compressed_pieces IS 'Of these, compressed; always 0 on plain PostgreSQL.';
COMMENT ON COLUMN storage.rows_estimate IS 'Rows, as of the last ANALYZE.';
COMMENT ON COLUMN storage.bytes IS 'Size on disk, indexes and all, in bytes.';
COMMENT ON COLUMN storage.bytes_uncompressed IS 'What it would take without compression, in bytes.';
COMMENT ON COLUMN storage.oldest IS 'Start of the oldest piece that holds rows; null = none, or not cut into pieces.';
COMMENT ON COLUMN storage.newest IS 'End of the newest piece that holds rows (not in it).';
COMMENT ON COLUMN storage.kept_for IS 'How long its pieces are kept (storage_policies); null = for ever.';
COMMENT ON COLUMN storage.compressed_after IS 'Age at which a piece is compressed; null = never.';
