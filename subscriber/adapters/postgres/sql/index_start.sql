-- The first $4 rows of bucket $1 after the key $2, up to the key $3; index_page.sql goes on.

SELECT key, version_id, state, sequencer, size_bytes, etag, event_time, ingested_at
FROM :"schema".object_versions
WHERE (bucket, key) > ($1::text, $2::text) AND (bucket, key) <= ($1::text, $3::text)
ORDER BY bucket, key, version_id
LIMIT $4
