-- What the jobs say about each bucket of $1 as a whole: the job that goes on, of those that $2 begins the creator of; the
-- last that ended; the last that looked at every key, with what it found. Ages are by the clock of the database.

SELECT
    wanted.bucket, unfinished.job_id AS unfinished_id, coalesce(unfinished.state = 'paused', false) AS is_paused,
    ended.job_id AS ended_id, coalesce(ended.state = 'failed', false) AS has_failed, ended.age_seconds AS ended_seconds,
    complete.age_seconds AS complete_seconds, sums.missing, sums.ghost, sums.stale
FROM unnest($1::text[]) AS wanted (bucket)
LEFT JOIN LATERAL (
    SELECT job_id, state FROM :"schema".jobs
    WHERE bucket = wanted.bucket AND prefix = '' AND kind = 'reconcile' AND state IN ('running', 'paused')
        AND starts_with(created_by, $2)
    ORDER BY job_id DESC LIMIT 1
) AS unfinished ON true
LEFT JOIN LATERAL (
    SELECT job_id, state, extract(epoch FROM now() - finished_at)::float8 AS age_seconds FROM :"schema".jobs
    WHERE bucket = wanted.bucket AND prefix = '' AND kind IN ('reconcile', 'backfill') AND finished_at IS NOT NULL
    ORDER BY finished_at DESC LIMIT 1
) AS ended ON true
LEFT JOIN LATERAL (
    SELECT job_id, extract(epoch FROM now() - finished_at)::float8 AS age_seconds FROM :"schema".jobs
    WHERE bucket = wanted.bucket AND prefix = '' AND kind IN ('reconcile', 'backfill') AND state = 'succeeded'
    ORDER BY finished_at DESC LIMIT 1
) AS complete ON true
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(missing), 0)::bigint AS missing,
        coalesce(sum(ghost), 0)::bigint AS ghost,
        coalesce(sum(stale), 0)::bigint AS stale
    FROM :"schema".job_ranges WHERE job_id = complete.job_id
) AS sums
ORDER BY wanted.bucket
