-- What prune_tombstones.sql would delete: the same parameters and answer; it changes and locks nothing.

WITH page AS MATERIALIZED (
    SELECT bucket, key, version_id, state = 'removed' AND ingested_at < $4 AS is_old
    FROM :"schema".object_versions
    WHERE (bucket, key, version_id) > ($1::text, $2::text, $3::text)
    ORDER BY bucket, key, version_id
    LIMIT $5
)
SELECT
    bucket, key, version_id, (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM page WHERE is_old) AS removed
FROM page
ORDER BY bucket DESC, key DESC, version_id DESC
LIMIT 1
