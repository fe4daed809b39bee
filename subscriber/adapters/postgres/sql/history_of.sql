-- The newest $4 changes of a range of keys of bucket $1, from $2 to before $3, the newest first. Without $3 only of the key $2.

SELECT
    bucket, key, version_id, recorded_at, state, event_name, event_time, size_bytes, etag,
    old_state, old_event_name, old_event_time, old_size_bytes, old_etag,
    requester, remote_ip, request_id
FROM :"schema".object_history
WHERE bucket = $1 AND key >= $2 AND key < coalesce($3, $2 || chr(1))
ORDER BY recorded_at DESC, key, version_id
LIMIT $4
