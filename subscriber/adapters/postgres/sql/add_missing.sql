-- Adds the rows of one batch that the index does not have, and what is NULL in a row it has; replaces nothing.
--
-- The parameters are those of upsert.sql. Two versions that both exist and have the same id are the same content, unless it
-- is the null version, whose id is used again: there the ETag must agree before the size is filled in.
-- Rows that are complete are passed over before the insert, because a conflict would lock and so write them.
-- ORDER BY makes all writers lock rows in the same order, which prevents deadlocks between them.
-- The row count is the number of rows that were added or filled in.

:given_rows AND NOT EXISTS (
    SELECT FROM :"schema".object_versions AS known
    WHERE known.bucket = given.bucket AND known.key = given.key AND known.version_id = given.version_id
        AND (known.state <> 'present' OR (known.size_bytes IS NOT NULL AND known.etag IS NOT NULL))
)
ORDER BY bucket COLLATE "C", key COLLATE "C", version_id COLLATE "C"
ON CONFLICT (bucket, key, version_id) DO UPDATE SET
    size_bytes = coalesce(stored.size_bytes, EXCLUDED.size_bytes),
    etag = coalesce(stored.etag, EXCLUDED.etag),
    ingested_at = now()
WHERE stored.state = 'present' AND EXCLUDED.state = 'present'
    AND (stored.version_id <> '' OR stored.etag = EXCLUDED.etag)
    AND (
        (stored.size_bytes IS NULL AND EXCLUDED.size_bytes IS NOT NULL)
        OR (stored.etag IS NULL AND EXCLUDED.etag IS NOT NULL)
    )
