-- How many seconds ago the youngest event happened that was noted: of each bucket $1 or, where $1 is NULL, of all together.

SELECT
    CASE WHEN $1::text[] IS NULL THEN 'all' ELSE bucket END AS label,
    extract(epoch FROM min(now() - youngest_event_time))::float8 AS age_seconds
FROM :"schema".buckets
WHERE youngest_event_time IS NOT NULL AND ($1::text[] IS NULL OR bucket = ANY ($1::text[]))
GROUP BY 1
