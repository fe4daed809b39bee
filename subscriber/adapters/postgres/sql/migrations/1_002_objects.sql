-- What a reader sees: the objects that exist, one row per key.
--
-- Of a key's versions the newest that is not removed counts, if it is not a delete marker. So removing a delete
-- marker brings the object back, and removing an old version for good changes nothing. "Newest" is the very
-- order of upsert.sql, from the newest down, and the version to settle what that leaves open.
--
-- A page of a prefix reads the primary key only:
--     SELECT … FROM objects WHERE bucket = 'b' AND key >= 'logs/' AND key < 'logs0' ORDER BY key LIMIT 1000
-- (the end of a prefix is the prefix with its last byte raised by one; LIKE would not use the index).

CREATE VIEW :"schema".objects AS
SELECT bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag, ingested_at
FROM (
    SELECT DISTINCT ON (bucket, key)
        bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag, ingested_at
    FROM :"schema".object_versions
    WHERE state <> 'removed'
    ORDER BY
        bucket, key,
        sequencer DESC, event_time DESC, (state <> 'present') DESC, state DESC,
        coalesce(etag, '') DESC, coalesce(size_bytes, -1) DESC, event_name DESC,
        version_id DESC
) AS newest
WHERE state = 'present';

COMMENT ON VIEW :"schema".objects IS
    'The objects that exist now: per key the newest version that is not removed, unless a delete marker hides it.';
