-- Counts every row of the index anew, into temporary tables. Run in a transaction that sees one state of all tables, after
-- LOCK TABLE usage_state, so that nobody folds meanwhile.

CREATE TEMPORARY TABLE counted_adjustments ON COMMIT DROP AS
SELECT key.bucket, key.key, now.objects, now.object_bytes
FROM (
    SELECT DISTINCT bucket, key FROM :"schema".object_versions WHERE version_id <> '' AND state <> 'removed'
) AS key
CROSS JOIN LATERAL :"schema".usage_adjustment(key.bucket, key.key) AS now
WHERE now.objects <> 0 OR now.object_bytes <> 0;

CREATE TEMPORARY TABLE counted ON COMMIT DROP AS
WITH feature AS (
    SELECT (options ->> 'depth')::integer AS depth FROM :"schema".features WHERE name = 'usage'
), parts AS (
    SELECT
        bucket, :"schema".usage_folder(key, depth) AS folder,
        count(*) FILTER (WHERE state = 'present' AND version_id = '') AS objects,
        coalesce(sum(size_bytes) FILTER (WHERE state = 'present' AND version_id = ''), 0) AS object_bytes,
        count(*) FILTER (WHERE state = 'present') AS versions,
        coalesce(sum(size_bytes) FILTER (WHERE state = 'present'), 0) AS version_bytes,
        count(*) FILTER (WHERE state = 'delete_marker') AS delete_markers
    FROM :"schema".object_versions, feature
    WHERE state <> 'removed'
    GROUP BY 1, 2
    UNION ALL
    SELECT bucket, :"schema".usage_folder(key, depth), sum(objects), sum(object_bytes), 0, 0, 0
    FROM counted_adjustments, feature
    GROUP BY 1, 2
)
SELECT
    bucket, folder, sum(objects)::bigint AS objects, sum(object_bytes) AS object_bytes,
    sum(versions)::bigint AS versions, sum(version_bytes) AS version_bytes, sum(delete_markers)::bigint AS delete_markers
FROM parts
GROUP BY bucket, folder
HAVING sum(objects) <> 0 OR sum(versions) <> 0 OR sum(delete_markers) <> 0;
