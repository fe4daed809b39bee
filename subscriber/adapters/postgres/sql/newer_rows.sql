ORDER BY bucket COLLATE "C", key COLLATE "C", version_id COLLATE "C"
ON CONFLICT (bucket, key, version_id) DO UPDATE SET
    state = EXCLUDED.state,
    sequencer = EXCLUDED.sequencer,
    event_name = EXCLUDED.event_name,
    event_time = EXCLUDED.event_time,
    size_bytes = EXCLUDED.size_bytes,
    etag = EXCLUDED.etag,
    ingested_at = now(),
    storage_class = CASE
        WHEN stored.storage_sequencer > EXCLUDED.sequencer THEN stored.storage_class ELSE EXCLUDED.storage_class
    END,
    access_tier = CASE WHEN stored.storage_sequencer > EXCLUDED.sequencer THEN stored.access_tier END,
    restored_until = CASE WHEN stored.restore_sequencer > EXCLUDED.sequencer THEN stored.restored_until END,
    last_modified = NULL,
    is_multipart = EXCLUDED.is_multipart,
    checksum_algorithm = EXCLUDED.checksum_algorithm,
    requester = EXCLUDED.requester,
    remote_ip = EXCLUDED.remote_ip,
    request_id = EXCLUDED.request_id,
    storage_sequencer = CASE WHEN stored.storage_sequencer > EXCLUDED.sequencer THEN stored.storage_sequencer END,
    restore_sequencer = CASE WHEN stored.restore_sequencer > EXCLUDED.sequencer THEN stored.restore_sequencer END
WHERE (
    stored.sequencer, stored.event_time, stored.state <> 'present', stored.state,
    coalesce(stored.etag, ''), coalesce(stored.size_bytes, -1), stored.event_name
) < (
    EXCLUDED.sequencer, EXCLUDED.event_time, EXCLUDED.state <> 'present', EXCLUDED.state,
    coalesce(EXCLUDED.etag, ''), coalesce(EXCLUDED.size_bytes, -1), EXCLUDED.event_name
)
