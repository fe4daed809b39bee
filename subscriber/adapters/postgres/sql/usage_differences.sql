-- Folders of which the kept counters differ from what was counted just now, in the same state of all tables; $1 at most.

WITH known AS (
    SELECT bucket FROM :"schema".usage_totals UNION SELECT bucket FROM :"schema".usage_deltas
    UNION SELECT bucket FROM counted
), kept AS (
    SELECT known.bucket, usage.* FROM known CROSS JOIN LATERAL :"schema".usage_of(known.bucket) AS usage
)
SELECT
    bucket, folder,
    coalesce(kept.objects, 0), coalesce(kept.object_bytes, 0), coalesce(kept.versions, 0),
    coalesce(kept.version_bytes, 0), coalesce(kept.delete_markers, 0),
    coalesce(counted.objects, 0), coalesce(counted.object_bytes, 0), coalesce(counted.versions, 0),
    coalesce(counted.version_bytes, 0), coalesce(counted.delete_markers, 0)
FROM kept
FULL JOIN counted USING (bucket, folder)
WHERE (kept.objects, kept.object_bytes, kept.versions, kept.version_bytes, kept.delete_markers)
    IS DISTINCT FROM
    (counted.objects, counted.object_bytes, counted.versions, counted.version_bytes, counted.delete_markers)
ORDER BY bucket, folder
LIMIT $1
