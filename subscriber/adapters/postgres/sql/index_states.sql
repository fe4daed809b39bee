-- The indexes of the tables object_versions and object_metadata in schema $1: valid, being built now, their size and how often they are used.

SELECT
    own.relname::text,
    indisvalid AND indisready,
    EXISTS (SELECT FROM pg_stat_progress_create_index AS progress WHERE progress.index_relid = own.oid),
    pg_relation_size(own.oid),
    coalesce(pg_stat_get_numscans(own.oid), 0)
FROM pg_index
JOIN pg_class AS own ON own.oid = indexrelid
JOIN pg_class AS of_table ON of_table.oid = indrelid AND of_table.relname IN ('object_versions', 'object_metadata')
JOIN pg_namespace ON pg_namespace.oid = of_table.relnamespace AND nspname = $1
ORDER BY own.relname
