-- What the history was like that the latest finished night read, the worst first.
SELECT
    table_name, source, n, first_at, last_at, active_days, coverage, longest_gap_days, stale_days, duplicates, impossible,
    checks, missing, status, problems, range_start, range_end
FROM nightly_quality_latest
ORDER BY array_position(ARRAY['bad', 'notice', 'good'], status), n DESC, table_name, source LIMIT %(most)s
