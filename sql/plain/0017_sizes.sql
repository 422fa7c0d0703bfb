-- How much room each table takes, from the catalogue: no table is read.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE FUNCTION storage_sizes() RETURNS TABLE (
    table_name text, pieces bigint, compressed_pieces bigint, rows_estimate bigint, bytes bigint,
    bytes_uncompressed bigint, oldest timestamptz, newest timestamptz, kept_for interval, compressed_after interval
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT
        c.relname, count(p.partition_name), 0::bigint,
        coalesce(sum(greatest(coalesce(l.reltuples, c.reltuples), 0)), 0)::bigint,
        coalesce(sum(pg_total_relation_size(coalesce(l.oid, c.oid))), 0)::bigint,
        coalesce(sum(pg_total_relation_size(coalesce(l.oid, c.oid))), 0)::bigint,
        min(p.range_start) FILTER (WHERE pg_relation_size(l.oid) > 0),
        max(p.range_end) FILTER (WHERE pg_relation_size(l.oid) > 0),
        s.keep, NULL::interval
    FROM pg_class AS c
    LEFT JOIN storage_policies AS s ON s.table_name = c.relname
    LEFT JOIN partitions AS p ON p.table_name = c.relname
    LEFT JOIN pg_class AS l ON l.oid = to_regclass(quote_ident(p.partition_name))
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    GROUP BY c.oid, c.relname, s.keep
$$;
