-- Jobs with the sums of their ranges, the newest first: the job $1 or, where it is NULL, those before job $2 at most $3.

SELECT
    job.job_id, job.kind, job.bucket, job.prefix, job.options::text AS options, job.state, job.concurrency,
    job.tolerated_failures, job.tolerated_percent, job.created_by, job.created_at, job.started_at, job.finished_at,
    sums.*
FROM (
    SELECT * FROM :"schema".jobs
    WHERE ($1::bigint IS NULL OR job_id = $1) AND ($2::bigint IS NULL OR job_id < $2)
    ORDER BY job_id DESC LIMIT $3
) AS job
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE state = 'pending') AS pending,
        count(*) FILTER (WHERE state = 'running') AS running,
        count(*) FILTER (WHERE state = 'succeeded') AS succeeded,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        count(*) FILTER (WHERE claims > 1) AS begun_again,
        coalesce(sum(listed), 0)::bigint AS listed,
        coalesce(sum(written), 0)::bigint AS written,
        coalesce(sum(missing), 0)::bigint AS missing,
        coalesce(sum(ghost), 0)::bigint AS ghost,
        coalesce(sum(stale), 0)::bigint AS stale,
        coalesce(sum(fresh), 0)::bigint AS fresh,
        coalesce(sum(requests), 0)::bigint AS requests,
        coalesce(sum(bytes), 0)::bigint AS bytes
    FROM :"schema".job_ranges WHERE job_id = job.job_id
) AS sums
ORDER BY job.job_id DESC
