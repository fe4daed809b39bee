-- Queues versions of bucket $1 whose keys lie from $2 to before $3: of the $6 that follow key $4 and version id $5, those
-- that exist, are not queued yet, and have no metadata yet or if $7. The last one looked at, how many these were, and how
-- many were queued.

WITH page AS (
    SELECT key, version_id, state
    FROM :"schema".object_versions
    WHERE bucket = $1 AND key >= $2 AND key < $3 AND (key, version_id) > ($4, $5)
    ORDER BY key, version_id
    LIMIT $6
), added AS (
    INSERT INTO :"schema".enrichment_queue (bucket, key, version_id)
    SELECT $1, page.key, page.version_id
    FROM page
    WHERE page.state = 'present'
        AND ($7 OR NOT EXISTS (
            SELECT FROM :"schema".object_metadata AS known
            WHERE known.bucket = $1 AND known.key = page.key AND known.version_id = page.version_id
        ))
    ORDER BY page.key, page.version_id
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT last.key, last.version_id, (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM added) AS queued
FROM (SELECT key, version_id FROM page ORDER BY key DESC, version_id DESC LIMIT 1) AS last
