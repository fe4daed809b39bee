-- Asks the owner of the range ($1, $2), held by claim $3, to cut it at the key $4, unless $5 ranges are in work. No row: the
-- range has changed, another cut is asked for, or $4 is not between its position and its end.

UPDATE :"schema".job_ranges AS range
SET cut_at = $4
WHERE range.job_id = $1 AND range.number = $2 AND range.claims = $3 AND range.state = 'running' AND range.cut_at IS NULL
    AND $4::text COLLATE "C" > coalesce(range.position, range.after) AND (range.upto IS NULL OR $4 < range.upto)
    AND (
        SELECT count(*) FROM :"schema".job_ranges
        WHERE job_id = $1 AND state = 'running' AND lease_until >= clock_timestamp()
    ) < $5
RETURNING range.number
