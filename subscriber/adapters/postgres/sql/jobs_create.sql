-- Creates a job; its ranges follow in the same transaction.

INSERT INTO :"schema".jobs
    (kind, bucket, prefix, options, concurrency, tolerated_failures, tolerated_percent, created_by)
VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8)
RETURNING job_id
