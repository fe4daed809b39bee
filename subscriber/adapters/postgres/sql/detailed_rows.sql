-- As given_rows.sql, and what a row may say beside its content; a parameter is NULL where no row says anything.
INSERT INTO :"schema".object_versions AS stored (
    bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag,
    storage_class, is_multipart, checksum_algorithm, requester, remote_ip, request_id
)
SELECT
    bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, nullif(etag, ''),
    nullif(storage_class, ''), is_multipart, nullif(checksum_algorithm, ''), nullif(requester, ''),
    nullif(remote_ip, ''), nullif(request_id, '')
FROM unnest(
    string_to_array($1, $10), string_to_array($2, $10), string_to_array($3, $10), string_to_array($4, $10),
    string_to_array($5, $10), string_to_array($6, $10), $7::timestamptz[], $8::bigint[], string_to_array($9, $10),
    string_to_array($11, $10), $12::boolean[], string_to_array($13, $10), string_to_array($14, $10),
    string_to_array($15, $10), string_to_array($16, $10)
) AS given (
    bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag,
    storage_class, is_multipart, checksum_algorithm, requester, remote_ip, request_id
)
WHERE event_time IS NOT NULL
