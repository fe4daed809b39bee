-- Splits the range ($1, $2), held by claim $3, at the key $4: its owner keeps (after, $4], and a new range ($4, upto] goes
-- to worker $5 for $6 seconds, unless $7 ranges are in work. No row: the range has changed, or $4 is not between its
-- position and its end. jobs_lock.sql has locked the job, so that no other new range takes the same number.

WITH owner AS (
    SELECT job_id, number, upto
    FROM :"schema".job_ranges
    WHERE job_id = $1 AND number = $2 AND claims = $3 AND state = 'running'
        AND $4 > coalesce(position, after) AND (upto IS NULL OR $4 < upto)
        AND (
            SELECT count(*) FROM :"schema".job_ranges
            WHERE job_id = $1 AND state = 'running' AND lease_until >= clock_timestamp()
        ) < $7
    FOR UPDATE
), kept AS (
    UPDATE :"schema".job_ranges AS range
    SET upto = $4
    FROM owner
    WHERE range.job_id = owner.job_id AND range.number = owner.number
), range AS (
    INSERT INTO :"schema".job_ranges
        (job_id, number, after, upto, state, attempts, claims, worker, lease_until, started_at)
    SELECT job_id, (SELECT max(number) + 1 FROM :"schema".job_ranges WHERE job_id = $1), $4, upto, 'running', 1, 1,
        $5, clock_timestamp() + make_interval(secs => $6), now()
    FROM owner
    RETURNING *
)
SELECT
:jobs_range_columns
FROM range
