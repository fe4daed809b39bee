-- The database's time, the number of rows of the tables as of their last ANALYZE, and since when the oldest message
-- waits in the quarantine.

SELECT
    now() AS now,
    (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $1::text::regclass) AS versions,
    (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $2::text::regclass) AS messages,
    (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $3::text::regclass) AS jobs,
    (SELECT min(quarantined_at) FROM :"schema".quarantined_messages WHERE replayed_at IS NULL) AS oldest_waiting
