-- Changes job $1, if its state is one of $5: the concurrency to $2 unless it is NULL, and the tolerance to the number $3 or
-- the percentage $4 unless both are NULL.

UPDATE :"schema".jobs
SET concurrency = coalesce($2, concurrency),
    tolerated_failures = CASE WHEN num_nonnulls($3::integer, $4::double precision) = 0 THEN tolerated_failures ELSE $3 END,
    tolerated_percent = CASE WHEN num_nonnulls($3::integer, $4::double precision) = 0 THEN tolerated_percent ELSE $4 END
WHERE job_id = $1 AND state = ANY ($5::text[])
RETURNING job_id
