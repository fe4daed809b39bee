-- The kept messages of one id: an id is unique within a queue only.

SELECT queue, message_id, reason, detail, body, receive_count, quarantined_at, replayed_at, replayed_by
FROM :"schema".quarantined_messages
WHERE message_id = $1 AND ($2::text IS NULL OR queue = $2 OR right(queue, length($2) + 1) = '/' || $2)
ORDER BY queue
LIMIT 20
