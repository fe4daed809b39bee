-- The daemon's upsert with an array for each column, as the manuals bind rows. Everything else is the same: whoever
-- writes another statement has another table in the end.

INSERT INTO subscriber.object_versions AS stored (
    bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag
)
SELECT bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, nullif(etag, '')
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
    $7::timestamptz[], $8::bigint[], $9::text[]
) AS given (bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag)
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
