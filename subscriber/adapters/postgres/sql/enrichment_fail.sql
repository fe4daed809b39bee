-- Notes the error $5 of a version that is still generation $4: it is due again in $6 seconds, or never (NULL).

UPDATE :"schema".enrichment_queue
SET error = left($5, 1000), due_at = clock_timestamp() + make_interval(secs => $6)
WHERE bucket = $1 AND key = $2 AND version_id = $3 AND generation = $4
