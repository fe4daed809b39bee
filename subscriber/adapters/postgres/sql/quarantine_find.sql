-- The quarantined messages with the id $6, by the filters $1 to $5: an id is unique only within its queue.

SELECT queue, message_id, reason, detail, body, receive_count, quarantined_at, replayed_at, replayed_by
FROM :"schema".quarantined_messages
WHERE message_id = $6 AND
:quarantine_filter
ORDER BY queue
LIMIT 20
