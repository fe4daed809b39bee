-- Notes when a worker first took a range of job $1.

UPDATE :"schema".jobs SET started_at = now() WHERE job_id = $1 AND started_at IS NULL
