-- The most frequent errors of the queue, exactly, up to $1 of them.

SELECT error, count(*) AS versions
FROM :"schema".enrichment_queue
WHERE error IS NOT NULL
GROUP BY error
ORDER BY versions DESC, error
LIMIT $1
