-- Ends claim $3 of the range ($1, $2): it gets the state $4 and the error $5. A range that goes back to pending ($4)
-- through no fault of its own ($6) has not used up an attempt. No row: the range belongs to another worker or is done.

UPDATE :"schema".job_ranges AS range
SET state = $4, worker = NULL, lease_until = NULL, error = $5,
    position = CASE WHEN $4 = 'succeeded' THEN coalesce(range.upto, range.position) ELSE range.position END,
    attempts = CASE WHEN $6 THEN greatest(0, range.attempts - 1) ELSE range.attempts END,
    finished_at = CASE WHEN $4 IN ('succeeded', 'failed') THEN now() END
WHERE range.job_id = $1 AND range.number = $2 AND range.claims = $3 AND range.state = 'running'
RETURNING range.number
