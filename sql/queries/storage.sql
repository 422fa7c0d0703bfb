-- How much room does each table take, and how long is it kept?
-- With: most = 50
SELECT
    table_name, rows_estimate, bytes, bytes_uncompressed / nullif(bytes, 0)::float8 AS compression, pieces,
    compressed_pieces, oldest, newest, kept_for
FROM storage
ORDER BY bytes DESC, table_name
LIMIT %(most)s
