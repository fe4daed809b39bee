-- What prune_quarantine.sql would delete: the same parameters and answer; it changes and locks nothing.

WITH page AS MATERIALIZED (
    SELECT queue, message_id, coalesce(replayed_at < $3, false) AS is_old
    FROM :"schema".quarantined_messages
    WHERE (queue, message_id) > ($1::text, $2::text)
    ORDER BY queue, message_id
    LIMIT $4
)
SELECT queue, message_id, (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM page WHERE is_old) AS removed
FROM page
ORDER BY queue DESC, message_id DESC
LIMIT 1
