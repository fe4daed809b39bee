-- Says of messages that were written after all when that was and who did it; what is marked stays as it was marked.

UPDATE :"schema".quarantined_messages AS kept
SET replayed_at = now(), replayed_by = $3
FROM unnest($1::text[], $2::text[]) AS given (queue, message_id)
WHERE kept.queue = given.queue AND kept.message_id = given.message_id AND kept.replayed_at IS NULL
