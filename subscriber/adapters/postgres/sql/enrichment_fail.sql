-- Notes the error $5 of a version that is still generation $4: it is due again in $6 seconds, or never (NULL). Unless $7
-- the attempt does not count.

UPDATE :"schema".enrichment_queue
SET
    error = left($5, 1000), due_at = clock_timestamp() + make_interval(secs => $6),
    attempts = CASE WHEN $7 THEN attempts ELSE greatest(0, attempts - 1) END
WHERE bucket = $1 AND key = $2 AND version_id = $3 AND generation = $4
