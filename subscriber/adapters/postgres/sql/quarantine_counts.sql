-- The number of quarantined messages for each reason, waiting and replayed, by the filters $1 to $5.

SELECT
    reason,
    count(*) FILTER (WHERE replayed_at IS NULL) AS waiting,
    count(*) FILTER (WHERE replayed_at IS NOT NULL) AS replayed,
    min(quarantined_at) AS oldest,
    max(quarantined_at) AS newest
FROM :"schema".quarantined_messages
WHERE
:quarantine_filter
GROUP BY reason
ORDER BY waiting DESC, reason
