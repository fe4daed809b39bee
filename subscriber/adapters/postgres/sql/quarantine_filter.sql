-- The filter of the quarantine's commands: reasons $1, queue $2, before $3, since $4, already replayed $5.
-- A parameter that is NULL accepts every message. $2 is a queue's URL or its name, the last part of the URL.
($1::text[] IS NULL OR reason = ANY ($1))
AND ($2::text IS NULL OR queue = $2 OR right(queue, length($2) + 1) = '/' || $2)
AND ($3::timestamptz IS NULL OR quarantined_at < $3)
AND ($4::timestamptz IS NULL OR quarantined_at >= $4)
AND ($5::boolean IS NULL OR (replayed_at IS NOT NULL) = $5)
