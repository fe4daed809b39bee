-- Locks job $1 until the end of the transaction, so that claims see each other's ranges, and returns what steers it.

SELECT state, concurrency, tolerated_failures, tolerated_percent
FROM :"schema".jobs
WHERE job_id = $1
FOR NO KEY UPDATE
