-- The ranges of job $1 after number $2, at most $3, in the states $4 (NULL: all), in the order of their numbers.

SELECT
:jobs_range_columns
FROM :"schema".job_ranges AS range
WHERE job_id = $1 AND number > $2 AND ($4::text[] IS NULL OR state = ANY ($4))
ORDER BY number
LIMIT $3
