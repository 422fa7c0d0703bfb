-- How much room each table takes, from the catalogue: no table is read.
SELECT set_config('search_path', concat_ws(', ', quote_ident(current_schema()),
    (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace
        WHERE extname = 'timescaledb' AND nspname <> current_schema()), 'pg_temp'), true);

CREATE FUNCTION storage_sizes() RETURNS TABLE (
    table_name text, pieces bigint, compressed_pieces bigint, rows_estimate bigint, bytes bigint,
    bytes_uncompressed bigint, oldest timestamptz, newest timestamptz, kept_for interval, compressed_after interval
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH hyper AS (
        SELECT
            s.table_name AS name, s.keep, s.compress_after,
            coalesce(a.materialization_hypertable_schema, current_schema()) AS place,
            coalesce(a.materialization_hypertable_name, s.table_name) AS target
        FROM storage_policies AS s LEFT JOIN timescaledb_information.continuous_aggregates AS a
            ON a.view_schema = current_schema() AND a.view_name = s.table_name
    )
    SELECT
        h.name, p.pieces, p.compressed, approximate_row_count(t.relation),
        coalesce(hypertable_size(t.relation), 0)::bigint,
        (coalesce(hypertable_size(t.relation), 0) + coalesce(z.saved, 0))::bigint,
        p.oldest, p.newest, h.keep, h.compress_after
    FROM hyper AS h
    CROSS JOIN LATERAL (SELECT format('%I.%I', h.place, h.target)::regclass AS relation) AS t
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS pieces, count(*) FILTER (WHERE c.is_compressed) AS compressed,
            min(c.range_start) AS oldest, max(c.range_end) AS newest
        FROM timescaledb_information.chunks AS c
        WHERE c.hypertable_schema = h.place AND c.hypertable_name = h.target
    ) AS p
    CROSS JOIN LATERAL (
        SELECT sum(y.before_compression_total_bytes - y.after_compression_total_bytes) AS saved
        FROM hypertable_compression_stats(t.relation) AS y
    ) AS z
    UNION ALL
    SELECT
        c.relname, 0, 0, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid), pg_total_relation_size(c.oid),
        NULL, NULL, NULL, NULL
    FROM pg_class AS c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
        AND NOT EXISTS (SELECT FROM hyper AS h WHERE h.name = c.relname)
$$;
