-- Adds the rows of one batch that the index does not have, and what is NULL in a row it has; replaces nothing.
--
-- The parameters are those of upsert_detailed.sql. Two versions that both exist and have the same id are the same content, unless it
-- is the null version, whose id is used again: there the ETag must agree before the size is filled in.
-- Rows that are complete are passed over before the insert, because a conflict would lock and so write them.
-- ORDER BY makes all writers lock rows in the same order, which prevents deadlocks between them.
-- A storage class alone is filled in, too: events of uploads do not name it. The row's content, and so its time of writing,
-- stay the same then.
-- The row count is the number of rows that were added or filled in.

:detailed_rows AND NOT EXISTS (
    SELECT FROM :"schema".object_versions AS known
    WHERE known.bucket = given.bucket AND known.key = given.key AND known.version_id = given.version_id
        AND (
            known.state <> 'present' OR (
                known.size_bytes IS NOT NULL AND known.etag IS NOT NULL
                AND (known.storage_class IS NOT NULL OR coalesce(given.storage_class, '') = '')
            )
        )
)
ORDER BY bucket COLLATE "C", key COLLATE "C", version_id COLLATE "C"
ON CONFLICT (bucket, key, version_id) DO UPDATE SET
    size_bytes = coalesce(stored.size_bytes, EXCLUDED.size_bytes),
    etag = coalesce(stored.etag, EXCLUDED.etag),
    storage_class = coalesce(stored.storage_class, EXCLUDED.storage_class),
    is_multipart = coalesce(stored.is_multipart, EXCLUDED.is_multipart),
    checksum_algorithm = coalesce(stored.checksum_algorithm, EXCLUDED.checksum_algorithm),
    last_modified = coalesce(stored.last_modified, nullif(EXCLUDED.event_time, 'epoch')),
    ingested_at = CASE
        WHEN (stored.size_bytes IS NULL AND EXCLUDED.size_bytes IS NOT NULL)
            OR (stored.etag IS NULL AND EXCLUDED.etag IS NOT NULL)
        THEN now() ELSE stored.ingested_at
    END
WHERE stored.state = 'present' AND EXCLUDED.state = 'present'
    AND (stored.version_id <> '' OR stored.etag = EXCLUDED.etag)
    AND (
        (stored.size_bytes IS NULL AND EXCLUDED.size_bytes IS NOT NULL)
        OR (stored.etag IS NULL AND EXCLUDED.etag IS NOT NULL)
        OR (stored.storage_class IS NULL AND EXCLUDED.storage_class IS NOT NULL)
    )
