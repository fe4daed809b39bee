-- Queues versions $2, $3 of bucket $1: those that exist; each gets a new generation, and its attempts begin anew.

INSERT INTO :"schema".enrichment_queue AS queued (bucket, key, version_id)
SELECT version.bucket, version.key, version.version_id
FROM unnest($2::text[], $3::text[]) AS given (key, version_id)
JOIN :"schema".object_versions AS version
    ON version.bucket = $1 AND version.key = given.key COLLATE "C"
    AND version.version_id = given.version_id COLLATE "C" AND version.state = 'present'
ORDER BY version.key, version.version_id
ON CONFLICT (bucket, key, version_id) DO UPDATE SET
    generation = EXCLUDED.generation, queued_at = now(), due_at = now(), attempts = 0, error = NULL
