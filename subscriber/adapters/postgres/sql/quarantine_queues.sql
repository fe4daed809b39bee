-- The number of quarantined messages of each queue, waiting and replayed.

SELECT
    queue,
    count(*) FILTER (WHERE replayed_at IS NULL) AS waiting,
    count(*) FILTER (WHERE replayed_at IS NOT NULL) AS replayed
FROM :"schema".quarantined_messages
GROUP BY queue
ORDER BY queue
