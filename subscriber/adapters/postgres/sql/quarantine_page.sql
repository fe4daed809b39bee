-- The next page of quarantined messages after the position ($6, $7), in primary key order, by the filters $1 to $5.
--
-- A page has at most $8 messages and $9 bytes of bodies, but at least one message, so that it fits into memory.

SELECT queue, message_id, reason, detail, body, receive_count, quarantined_at, replayed_at, replayed_by
FROM (
    SELECT *, row_number() OVER so_far AS number, sum(octet_length(body)) OVER so_far AS bytes
    FROM (
        SELECT *
        FROM :"schema".quarantined_messages
        WHERE (queue, message_id) > ($6, $7) AND
:quarantine_filter
        ORDER BY queue, message_id
        LIMIT $8
    ) AS page
    WINDOW so_far AS (ORDER BY queue, message_id)
) AS measured
WHERE number = 1 OR bytes <= $9
ORDER BY queue, message_id
