-- The next $5 rows of bucket $1 after the row ($2, $3), up to the key $4, in the order of the primary key.
--
-- Both ends are row comparisons, and bucket stands in no other condition: beside `bucket = $1` PostgreSQL (15.18, 18.6)
-- begins at the first row of the bucket, and every page reads all pages before it once more. One page of 5,000 rows in the
-- middle of a million then took 91 ms instead of 1.5 ms.

SELECT key, version_id, state, sequencer, size_bytes, etag, event_time, ingested_at
FROM :"schema".object_versions
WHERE (bucket, key, version_id) > ($1::text, $2::text, $3::text) AND (bucket, key) <= ($1::text, $4::text)
ORDER BY bucket, key, version_id
LIMIT $5
