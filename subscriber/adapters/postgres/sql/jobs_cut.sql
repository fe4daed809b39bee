-- Answers the wish to cut the range ($1, $2), held by claim $3: where the key asked for lies behind $4, up to which its owner
-- has keys in work, the owner keeps what is before and a pending range gets the rest. Otherwise nothing is cut. The wish is
-- over either way. Returns the end of the owner's range. No row: the range is no longer its, or nobody asks any more.
-- jobs_lock.sql has locked the job, so that no other new range takes the same number.

WITH owned AS (
    SELECT job_id, number, upto, cut_at, cut_at > $4::text COLLATE "C" AND (upto IS NULL OR cut_at < upto) AS is_cut
    FROM :"schema".job_ranges
    WHERE job_id = $1 AND number = $2 AND claims = $3 AND state = 'running' AND cut_at IS NOT NULL
    FOR UPDATE
), rest AS (
    INSERT INTO :"schema".job_ranges (job_id, number, after, upto)
    SELECT job_id, (SELECT max(number) + 1 FROM :"schema".job_ranges WHERE job_id = $1), cut_at, upto
    FROM owned
    WHERE is_cut
)
UPDATE :"schema".job_ranges AS range
SET upto = CASE WHEN owned.is_cut THEN owned.cut_at ELSE owned.upto END, cut_at = NULL
FROM owned
WHERE range.job_id = owned.job_id AND range.number = owned.number
RETURNING range.upto
