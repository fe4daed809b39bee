-- S3 has no such version: deletes its row of the queue, if it is still generation $4, and its metadata.

WITH done AS (
    DELETE FROM :"schema".enrichment_queue
    WHERE bucket = $1 AND key = $2 AND version_id = $3 AND generation = $4
    RETURNING bucket, key, version_id
)
DELETE FROM :"schema".object_metadata AS known
USING done
WHERE known.bucket = done.bucket AND known.key = done.key AND known.version_id = done.version_id
