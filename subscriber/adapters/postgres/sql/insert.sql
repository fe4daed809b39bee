-- Inserts rows of which the table has none; the parameters are those of upsert.sql, in the same order of keys.
--
-- A row that another writer has inserted meanwhile makes the whole statement fail with 23505 (unique_violation).

INSERT INTO :"schema".object_versions (
    bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag
)
SELECT bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, nullif(etag, '')
FROM unnest(
    string_to_array($1, $10), string_to_array($2, $10), string_to_array($3, $10), string_to_array($4, $10),
    string_to_array($5, $10), string_to_array($6, $10), $7::timestamptz[], $8::bigint[], string_to_array($9, $10)
) AS given (bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag)
WHERE event_time IS NOT NULL
ORDER BY bucket COLLATE "C", key COLLATE "C", version_id COLLATE "C"
