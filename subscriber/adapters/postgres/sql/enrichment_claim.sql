-- Takes up to $1 due rows for $2 seconds, the newest first. SKIP LOCKED: another worker takes the others.

WITH due AS (
    SELECT bucket, key, version_id
    FROM :"schema".enrichment_queue
    WHERE due_at <= clock_timestamp()
    ORDER BY generation DESC
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE :"schema".enrichment_queue AS queued
SET due_at = clock_timestamp() + make_interval(secs => $2), attempts = queued.attempts + 1
FROM due
WHERE queued.bucket = due.bucket AND queued.key = due.key AND queued.version_id = due.version_id
RETURNING queued.bucket, queued.key, queued.version_id, queued.generation, queued.attempts
