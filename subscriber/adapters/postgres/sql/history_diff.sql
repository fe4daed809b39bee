-- The objects of bucket $1 with prefix $2 that differ between $3 and $4.

SELECT
    key, old_version_id, old_size_bytes, old_etag, old_event_time, version_id, size_bytes, etag, event_time
FROM :"schema".objects_changed($1, $2, $3, $4)
