-- Stores messages that could not become rows; for a message that exists already only the receive count changes.

INSERT INTO :"schema".quarantined_messages AS stored (queue, message_id, reason, detail, body, receive_count)
SELECT queue, message_id, reason, detail, body, receive_count
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::integer[])
    AS given (queue, message_id, reason, detail, body, receive_count)
ORDER BY queue COLLATE "C", message_id COLLATE "C"
ON CONFLICT (queue, message_id) DO UPDATE SET
    receive_count = greatest(stored.receive_count, EXCLUDED.receive_count)
