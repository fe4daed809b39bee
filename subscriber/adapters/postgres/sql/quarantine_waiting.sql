-- The number of messages that wait in the quarantine for each reason: of the first $1 that wait, the $2 largest numbers.
--
-- The limit bounds its work where many wait. Where few wait among many that were replayed it reads the table (100,000
-- messages: 80 ms), without the bodies of more than two kilobytes, which are stored apart.

SELECT reason, count(*) AS waiting
FROM (SELECT reason FROM :"schema".quarantined_messages WHERE replayed_at IS NULL LIMIT $1) AS waiting
GROUP BY reason
ORDER BY waiting DESC, reason
LIMIT $2
