-- The view for readers: the objects that exist, one row per key.
--
-- For each key it shows the newest version that is not removed, unless that version is a delete marker. So removing a
-- delete marker restores the object, and deleting an old version permanently changes nothing. "Newest" is the order of
-- upsert.sql, descending; version_id breaks ties.
--
-- A page of a prefix reads only a range of the primary key:
--     SELECT … FROM objects WHERE bucket = 'b' AND key LIKE 'logs/%' ORDER BY key LIMIT 1000
-- LIKE uses the index because the collation is "C"; escape % and _ in the prefix. With a parameter instead of a literal
-- pattern, write the range: key >= 'logs/' AND key < 'logs0' (the prefix with its last byte incremented).

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
