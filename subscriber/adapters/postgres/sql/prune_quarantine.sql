-- Reads the next $4 messages of the quarantine after the position ($1, $2), in the order of the primary key, and deletes
-- those among them that were replayed before $3. Only a waiting message is the only copy.

WITH page AS MATERIALIZED (
    SELECT queue, message_id, replayed_at < $3 AS is_old
    FROM :"schema".quarantined_messages
    WHERE (queue, message_id) > ($1::text, $2::text)
    ORDER BY queue, message_id
    LIMIT $4
), locked AS (
    SELECT stored.queue, stored.message_id
    FROM :"schema".quarantined_messages AS stored
    JOIN page USING (queue, message_id)
    WHERE page.is_old AND stored.replayed_at < $3
    FOR UPDATE OF stored SKIP LOCKED
), gone AS (
    DELETE FROM :"schema".quarantined_messages AS stored
    USING locked
    WHERE (stored.queue, stored.message_id) = (locked.queue, locked.message_id) AND stored.replayed_at < $3
    RETURNING 1
)
SELECT queue, message_id, (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM gone) AS removed
FROM page
ORDER BY queue DESC, message_id DESC
LIMIT 1
