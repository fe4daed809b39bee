-- Stores the metadata $5 of a version whose ETag is $6 and deletes its row of the queue, if it is still generation $4.
--
-- FOR SHARE waits for a write of the version that is under way: it queues a new generation, or is seen here. A result
-- of another ETag is not stored, and neither is one of a version that is gone; an index without an ETag takes any.
-- Returns whether the row was deleted: false leaves it, with the other ETag, to be asked for again.

WITH version AS (
    SELECT state = 'present' AS is_present, coalesce(etag, $6) = $6 AS is_same
    FROM :"schema".object_versions
    WHERE bucket = $1 AND key = $2 AND version_id = $3
    FOR SHARE
), done AS (
    DELETE FROM :"schema".enrichment_queue
    WHERE bucket = $1 AND key = $2 AND version_id = $3 AND generation = $4
        AND NOT EXISTS (SELECT FROM version WHERE is_present AND NOT is_same)
    RETURNING bucket, key, version_id
), stored AS (
    INSERT INTO :"schema".object_metadata AS known (bucket, key, version_id, metadata)
    SELECT bucket, key, version_id, $5::jsonb
    FROM done
    WHERE EXISTS (SELECT FROM version WHERE is_present AND is_same)
    ON CONFLICT (bucket, key, version_id) DO UPDATE SET metadata = EXCLUDED.metadata, fetched_at = now()
)
SELECT EXISTS (SELECT FROM done)
