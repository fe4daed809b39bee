-- The first $1 buckets, by name, that the index has rows of, that events or a job tell of, or that $2 names, with what the
-- daemons have noted of their events. Each bucket with rows takes one search in the primary key.

WITH RECURSIVE found (bucket, number) AS (
    (SELECT bucket, 1 FROM :"schema".object_versions ORDER BY bucket LIMIT 1)
    UNION ALL
    SELECT (SELECT next.bucket FROM :"schema".object_versions AS next WHERE next.bucket > found.bucket
            ORDER BY next.bucket LIMIT 1), number + 1
    FROM found
    WHERE found.bucket IS NOT NULL AND number < $1::integer
), known (bucket, has_rows) AS (
    SELECT bucket, true FROM found WHERE bucket IS NOT NULL
    UNION ALL
    SELECT bucket, false FROM :"schema".buckets
    UNION ALL
    SELECT bucket, false FROM :"schema".jobs
    UNION ALL
    SELECT bucket, false FROM unnest($2::text[]) AS named (bucket)
), merged AS (
    SELECT bucket COLLATE "C" AS bucket, bool_or(has_rows) AS has_rows
    FROM known GROUP BY 1 ORDER BY 1 LIMIT $1::integer
)
SELECT
    bucket, has_rows, noted_at, events_since, oldest_event_time, youngest_event_time, last_stored_at,
    coalesce(event_rows, 0) AS event_rows
FROM merged LEFT JOIN :"schema".buckets USING (bucket)
ORDER BY bucket
