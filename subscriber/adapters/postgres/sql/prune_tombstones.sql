-- Reads the next $5 rows of the index after the position ($1, $2, $3), in the order of the primary key, and deletes the
-- tombstones among them that were written before $4.
--
-- SKIP LOCKED: it never waits for an upsert, so it cannot take part in a deadlock. A row that an upsert has changed since
-- the page was read is checked again under its lock, so the upsert wins.

WITH page AS MATERIALIZED (
    SELECT bucket, key, version_id, state = 'removed' AND ingested_at < $4 AS is_old
    FROM :"schema".object_versions
    WHERE (bucket, key, version_id) > ($1::text, $2::text, $3::text)
    ORDER BY bucket, key, version_id
    LIMIT $5
), locked AS (
    SELECT stored.bucket, stored.key, stored.version_id
    FROM :"schema".object_versions AS stored
    JOIN page USING (bucket, key, version_id)
    WHERE page.is_old AND stored.state = 'removed' AND stored.ingested_at < $4
    FOR UPDATE OF stored SKIP LOCKED
), gone AS (
    DELETE FROM :"schema".object_versions AS stored
    USING locked
    WHERE (stored.bucket, stored.key, stored.version_id) = (locked.bucket, locked.key, locked.version_id)
        AND stored.state = 'removed' AND stored.ingested_at < $4
    RETURNING 1
)
SELECT bucket, key, version_id, (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM gone) AS removed
FROM page
ORDER BY bucket DESC, key DESC, version_id DESC
LIMIT 1
