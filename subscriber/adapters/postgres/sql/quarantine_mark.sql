-- Marks messages as replayed, with time and user; a message that is already marked keeps its first mark.

UPDATE :"schema".quarantined_messages AS stored
SET replayed_at = now(), replayed_by = $3
FROM unnest($1::text[], $2::text[]) AS given (queue, message_id)
WHERE stored.queue = given.queue AND stored.message_id = given.message_id AND stored.replayed_at IS NULL
