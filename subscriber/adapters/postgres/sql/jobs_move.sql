-- Moves job $1 to the state $3 if its state is one of $2; a job that ends gets its time.

UPDATE :"schema".jobs
SET state = $3, finished_at = CASE WHEN $3 IN ('succeeded', 'failed', 'cancelled') THEN now() END
WHERE job_id = $1 AND state = ANY ($2::text[])
RETURNING job_id
