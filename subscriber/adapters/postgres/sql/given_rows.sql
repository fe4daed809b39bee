-- Inserts the given rows, as far as what follows allows, by one parameter for each column in the order of the columns.
INSERT INTO :"schema".object_versions AS stored (
    bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag
)
SELECT bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, nullif(etag, '')
FROM unnest(
    string_to_array($1, $10), string_to_array($2, $10), string_to_array($3, $10), string_to_array($4, $10),
    string_to_array($5, $10), string_to_array($6, $10), $7::timestamptz[], $8::bigint[], string_to_array($9, $10)
) AS given (bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag)
WHERE event_time IS NOT NULL
