-- Gives worker $2 the next range of job $1 for $3 seconds, unless $4 ranges are in work: one whose lease is over, or else
-- the next pending one. jobs_lock.sql has locked the job.
--
-- SKIP LOCKED: a range whose row another transaction holds is in somebody's hands. Each part reads an index of its own
-- state, so a claim costs as much among twenty thousand ranges as among twenty.

WITH free AS (
    SELECT FROM :"schema".job_ranges
    WHERE job_id = $1 AND state = 'running' AND lease_until >= clock_timestamp()
    HAVING count(*) < $4
), expired AS (
    SELECT job_id, number
    FROM :"schema".job_ranges
    WHERE job_id = $1 AND state = 'running' AND lease_until < clock_timestamp() AND EXISTS (SELECT FROM free)
    ORDER BY number
    LIMIT 1
    FOR UPDATE SKIP LOCKED
), pending AS (
    SELECT job_id, number
    FROM :"schema".job_ranges
    WHERE job_id = $1 AND state = 'pending' AND EXISTS (SELECT FROM free) AND NOT EXISTS (SELECT FROM expired)
    ORDER BY number
    LIMIT 1
    FOR UPDATE SKIP LOCKED
), next AS (
    SELECT job_id, number FROM expired UNION ALL SELECT job_id, number FROM pending
)
UPDATE :"schema".job_ranges AS range
SET state = 'running', worker = $2, lease_until = clock_timestamp() + make_interval(secs => $3),
    attempts = range.attempts + 1, claims = range.claims + 1, moment = NULL, error = NULL,
    started_at = coalesce(range.started_at, now()), finished_at = NULL
FROM next
WHERE range.job_id = next.job_id AND range.number = next.number
RETURNING
:jobs_range_columns
