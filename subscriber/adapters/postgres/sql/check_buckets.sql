-- The first $1 buckets of the index. Each takes one search in the primary key, so the size of the table does not matter.

WITH RECURSIVE found (bucket, number) AS (
    (SELECT bucket, 1 FROM :"schema".object_versions ORDER BY bucket LIMIT 1)
    UNION ALL
    SELECT (SELECT next.bucket FROM :"schema".object_versions AS next WHERE next.bucket > found.bucket
            ORDER BY next.bucket LIMIT 1), number + 1
    FROM found
    WHERE found.bucket IS NOT NULL AND number < $1
)
SELECT bucket FROM found WHERE bucket IS NOT NULL
