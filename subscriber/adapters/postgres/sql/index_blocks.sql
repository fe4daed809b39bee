-- The size of the index's table in blocks, from the file system: it needs no ANALYZE.

SELECT pg_relation_size($1::text::regclass) / current_setting('block_size')::integer
