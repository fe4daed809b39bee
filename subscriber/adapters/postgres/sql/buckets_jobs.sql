-- The jobs that tell how complete the index is of each bucket $1: of the whole bucket the last $2 that succeeded, of each of
-- the first $3 prefixes the last one, and of both the last one that did not succeed. Ordered by bucket, prefix and end;
-- a job that goes on comes last.

SELECT
    job.bucket, job.job_id, job.kind, job.prefix, coalesce((job.options ->> 'repair')::boolean, false) AS repairs,
    job.state, job.created_at, job.finished_at, sums.*
FROM (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY bucket, prefix, state = 'succeeded' ORDER BY coalesce(finished_at, 'infinity') DESC, job_id DESC
        ) AS nth,
        dense_rank() OVER (PARTITION BY bucket ORDER BY prefix) AS prefix_number
    FROM :"schema".jobs
    WHERE bucket = ANY ($1::text[]) AND kind IN ('backfill', 'reconcile', 'inventory')
) AS job
CROSS JOIN LATERAL (
    SELECT
        count(*) AS ranges,
        count(*) FILTER (WHERE state = 'succeeded') AS succeeded,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        coalesce(sum(missing), 0)::bigint AS missing,
        coalesce(sum(ghost), 0)::bigint AS ghost,
        coalesce(sum(stale), 0)::bigint AS stale,
        coalesce(sum(written), 0)::bigint AS written
    FROM :"schema".job_ranges WHERE job_id = job.job_id
) AS sums
WHERE job.nth <= CASE WHEN job.prefix = '' AND job.state = 'succeeded' THEN $2::integer ELSE 1 END
    AND job.prefix_number <= $3::integer + 1
ORDER BY job.bucket, job.prefix, coalesce(job.finished_at, 'infinity'), job.job_id
