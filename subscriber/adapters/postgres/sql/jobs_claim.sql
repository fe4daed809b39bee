-- Gives worker $2 the next range of job $1 for $3 seconds, unless $4 ranges are in work: a pending one, or one whose
-- lease is over. jobs_lock.sql has locked the job.
--
-- SKIP LOCKED: a range whose row another transaction holds is in somebody's hands.

UPDATE :"schema".job_ranges AS range
SET state = 'running', worker = $2, lease_until = clock_timestamp() + make_interval(secs => $3),
    attempts = range.attempts + 1, claims = range.claims + 1, moment = NULL, error = NULL,
    started_at = coalesce(range.started_at, now()), finished_at = NULL
FROM (
    SELECT job_id, number
    FROM :"schema".job_ranges
    WHERE job_id = $1 AND state IN ('pending', 'running')
        AND (state = 'pending' OR lease_until < clock_timestamp())
        AND (
            SELECT count(*) FROM :"schema".job_ranges
            WHERE job_id = $1 AND state = 'running' AND lease_until >= clock_timestamp()
        ) < $4
    ORDER BY number
    LIMIT 1
    FOR UPDATE SKIP LOCKED
) AS next
WHERE range.job_id = next.job_id AND range.number = next.number
RETURNING
:jobs_range_columns
