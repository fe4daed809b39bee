-- Adds what a daemon has stored of each bucket $1: how many rows $2, when the oldest $3 and the youngest $4 of their events
-- happened, and how many seconds ago the first $5 and the last $6 of them were stored.
--
-- ORDER BY makes all daemons lock rows in the same order, which prevents deadlocks between them. A sender's clock may be
-- wrong: no event is younger than now. Repeated after a lost answer, only the number of rows is added twice.

INSERT INTO :"schema".buckets AS stored (
    bucket, events_since, oldest_event_time, youngest_event_time, last_stored_at, event_rows
)
SELECT
    bucket, now() - make_interval(secs => first_seconds), least(oldest, now()), least(youngest, now()),
    now() - make_interval(secs => last_seconds), row_count
FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::float8[], $6::float8[])
    AS given (bucket, row_count, oldest, youngest, first_seconds, last_seconds)
ORDER BY bucket COLLATE "C"
ON CONFLICT (bucket) DO UPDATE SET
    events_since = CASE WHEN stored.events_since IS NOT NULL
                        THEN least(stored.events_since, EXCLUDED.events_since) END,
    oldest_event_time = least(stored.oldest_event_time, EXCLUDED.oldest_event_time),
    youngest_event_time = greatest(stored.youngest_event_time, EXCLUDED.youngest_event_time),
    last_stored_at = greatest(stored.last_stored_at, EXCLUDED.last_stored_at),
    event_rows = stored.event_rows + EXCLUDED.event_rows
