-- Makes the failed ranges of job $1 pending again, where they stopped; returns their number.

UPDATE :"schema".job_ranges
SET state = 'pending', attempts = 0, error = NULL, finished_at = NULL
WHERE job_id = $1 AND state = 'failed'
