-- The kept messages behind a place ($1, $2) in their order, as far as the filters $3 to $7 let them through.
--
-- $8 at most, and bodies of $9 bytes together, though never none: so a page fits into memory, whatever the bodies are.
-- A filter that is NULL lets everything through. $4 is a queue's URL or its name, the last part of the URL.

SELECT queue, message_id, reason, detail, body, receive_count, quarantined_at, replayed_at, replayed_by
FROM (
    SELECT *, row_number() OVER behind AS number, sum(octet_length(body)) OVER behind AS bytes
    FROM (
        SELECT *
        FROM :"schema".quarantined_messages
        WHERE (queue, message_id) > ($1, $2)
            AND ($3::text[] IS NULL OR reason = ANY ($3))
            AND ($4::text IS NULL OR queue = $4 OR right(queue, length($4) + 1) = '/' || $4)
            AND ($5::timestamptz IS NULL OR quarantined_at < $5)
            AND ($6::timestamptz IS NULL OR quarantined_at >= $6)
            AND ($7::boolean IS NULL OR (replayed_at IS NOT NULL) = $7)
        ORDER BY queue, message_id
        LIMIT $8
    ) AS page
    WINDOW behind AS (ORDER BY queue, message_id)
) AS measured
WHERE number = 1 OR bytes <= $9
ORDER BY queue, message_id
