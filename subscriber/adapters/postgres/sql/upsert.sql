-- Writes one batch: a row per object version, kept only where it is newer than what is there.
--
-- One parameter per column, so that the text stays the same for any number of rows and is planned once. Columns of text
-- come as one text each, every value with the separator $10 behind it; that makes one row too many, the only one without
-- a time.
-- ORDER BY gives all writers one order in which to lock rows, so that they never wait for each other in a circle.
-- The comparison is the total order of events; nothing in it is NULL, because a NULL would read as "not newer".
-- No ETag and an empty one are the same in that order, hence the same in the table.
-- The row count is what was applied; rows that were there already, or are older, count nothing.

INSERT INTO :"schema".object_versions AS stored (
    bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag
)
SELECT bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, nullif(etag, '')
FROM unnest(
    string_to_array($1, $10), string_to_array($2, $10), string_to_array($3, $10), string_to_array($4, $10),
    string_to_array($5, $10), string_to_array($6, $10), $7::timestamptz[], $8::bigint[], string_to_array($9, $10)
) AS given (bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag)
WHERE event_time IS NOT NULL
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
