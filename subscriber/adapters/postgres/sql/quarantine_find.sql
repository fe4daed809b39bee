-- The quarantined messages whose id is $6 or begins with it, by the filters $1 to $5; those with the very id come first.
-- An id is unique only within its queue.

SELECT queue, message_id, reason, detail, body, receive_count, quarantined_at, replayed_at, replayed_by
FROM :"schema".quarantined_messages
WHERE starts_with(message_id, $6) AND
:quarantine_filter
ORDER BY message_id <> $6, message_id, queue
LIMIT 20
