-- How many messages are kept for each reason, those that wait and those that were replayed; filters as in the page.

SELECT
    reason,
    count(*) FILTER (WHERE replayed_at IS NULL) AS waiting,
    count(*) FILTER (WHERE replayed_at IS NOT NULL) AS replayed,
    min(quarantined_at) AS oldest,
    max(quarantined_at) AS newest
FROM :"schema".quarantined_messages
WHERE ($1::text[] IS NULL OR reason = ANY ($1))
    AND ($2::text IS NULL OR queue = $2 OR right(queue, length($2) + 1) = '/' || $2)
    AND ($3::timestamptz IS NULL OR quarantined_at < $3)
    AND ($4::timestamptz IS NULL OR quarantined_at >= $4)
    AND ($5::boolean IS NULL OR (replayed_at IS NOT NULL) = $5)
GROUP BY reason
ORDER BY waiting DESC, reason
