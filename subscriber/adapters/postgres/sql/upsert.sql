-- Upserts one batch: one row per object version, applied only if it is newer than the stored row.
--
-- There is one parameter per column, so the statement is the same for any number of rows and is planned once. A text
-- column arrives as one text in which the separator $10 follows every value; splitting it gives one extra row, the only
-- one without a time.
-- ORDER BY makes all writers lock rows in the same order, which prevents deadlocks between them.
-- The comparison is the total order of events; no operand is NULL, because a NULL would mean "not newer".
-- A missing ETag and an empty one are equal in that order, hence both are stored as NULL.
-- The row count is the number of applied rows; unchanged and older rows do not count.

:given_rows
ORDER BY bucket COLLATE "C", key COLLATE "C", version_id COLLATE "C"
ON CONFLICT (bucket, key, version_id) DO UPDATE SET
    state = EXCLUDED.state,
    sequencer = EXCLUDED.sequencer,
    event_name = EXCLUDED.event_name,
    event_time = EXCLUDED.event_time,
    size_bytes = EXCLUDED.size_bytes,
    etag = EXCLUDED.etag,
    ingested_at = now()
WHERE (
    stored.sequencer, stored.event_time, stored.state <> 'present', stored.state,
    coalesce(stored.etag, ''), coalesce(stored.size_bytes, -1), stored.event_name
) < (
    EXCLUDED.sequencer, EXCLUDED.event_time, EXCLUDED.state <> 'present', EXCLUDED.state,
    coalesce(EXCLUDED.etag, ''), coalesce(EXCLUDED.size_bytes, -1), EXCLUDED.event_name
)
