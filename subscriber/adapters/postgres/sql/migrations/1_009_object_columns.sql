-- What events and listings say about an object beside its size and ETag. Every column may be NULL: nobody said it.
--
-- Adding columns without a default changes no row and waits for no scan. For the same reason there are no checks: one on
-- an existing table reads all of it. The decoder limits all lengths. No column is indexed, so updates stay HOT.
--
-- A storage fact (a transition, a change of the access tier, a restored copy) never makes a row and never changes content.
-- It is newer or older than another by storage_sequencer or restore_sequencer, and than the content by sequencer. A newer
-- content starts anew, because it is another object under the same name.

ALTER TABLE :"schema".object_versions
    ADD COLUMN storage_class text COLLATE "C",
    ADD COLUMN access_tier text COLLATE "C",
    ADD COLUMN restored_until timestamptz,
    ADD COLUMN last_modified timestamptz,
    ADD COLUMN is_multipart boolean,
    ADD COLUMN checksum_algorithm text COLLATE "C",
    ADD COLUMN requester text COLLATE "C",
    ADD COLUMN remote_ip text COLLATE "C",
    ADD COLUMN request_id text COLLATE "C",
    ADD COLUMN storage_sequencer text COLLATE "C",
    ADD COLUMN restore_sequencer text COLLATE "C";

COMMENT ON COLUMN :"schema".object_versions.storage_class IS
    'As a listing or a transition named it (STANDARD, GLACIER …); NULL: neither did, as events of uploads do not.';
COMMENT ON COLUMN :"schema".object_versions.access_tier IS
    'Of INTELLIGENT_TIERING, as its event named it (ARCHIVE_ACCESS …).';
COMMENT ON COLUMN :"schema".object_versions.restored_until IS
    'Until when a temporary copy of an archived object can be read; NULL: none is known.';
COMMENT ON COLUMN :"schema".object_versions.last_modified IS
    'Where a listing named it and event_time is another time; the views show event_time where that is the same.';
COMMENT ON COLUMN :"schema".object_versions.is_multipart IS
    'Where an inventory says it; the views read it from the ETag otherwise.';
COMMENT ON COLUMN :"schema".object_versions.checksum_algorithm IS
    'As a listing or an inventory named it (CRC64NVME …).';
COMMENT ON COLUMN :"schema".object_versions.requester IS
    'Who made the request of event_name; like remote_ip and request_id only with SUBSCRIBER_KEEP_REQUESTER.';
COMMENT ON COLUMN :"schema".object_versions.storage_sequencer IS
    'The order of the fact that storage_class and access_tier come from; NULL: they came with the content.';
COMMENT ON COLUMN :"schema".object_versions.restore_sequencer IS
    'The order of the fact that restored_until comes from.';

-- New columns stand at the end of each view, so the functions and views of users that read them go on.
CREATE OR REPLACE VIEW :"schema".objects AS
SELECT
    bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag, ingested_at,
    storage_class, access_tier, restored_until,
    coalesce(last_modified, CASE WHEN event_name <> 'ObjectCreated:CompleteMultipartUpload' THEN event_time END)
        AS last_modified,
    coalesce(is_multipart, strpos(etag, '-') > 0) AS is_multipart,
    checksum_algorithm
FROM (
    SELECT DISTINCT ON (bucket, key)
        bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag, ingested_at,
        storage_class, access_tier, restored_until, last_modified, is_multipart, checksum_algorithm
    FROM :"schema".object_versions
    WHERE state <> 'removed'
    ORDER BY
        bucket, key,
        sequencer DESC, event_time DESC, (state <> 'present') DESC, state DESC,
        coalesce(etag, '') DESC, coalesce(size_bytes, -1) DESC, event_name DESC,
        version_id DESC
) AS newest
WHERE state <> 'delete_marker';

CREATE OR REPLACE VIEW :"schema".versions AS
SELECT
    bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag, ingested_at,
    NOT EXISTS (
        SELECT FROM :"schema".object_versions AS newer
        WHERE newer.bucket = version.bucket AND newer.key = version.key AND newer.state <> 'removed' AND (
            newer.sequencer, newer.event_time, newer.state <> 'present', newer.state,
            coalesce(newer.etag, ''), coalesce(newer.size_bytes, -1), newer.event_name, newer.version_id
        ) > (
            version.sequencer, version.event_time, version.state <> 'present', version.state,
            coalesce(version.etag, ''), coalesce(version.size_bytes, -1), version.event_name, version.version_id
        )
    ) AS is_latest,
    storage_class, access_tier, restored_until,
    coalesce(last_modified, CASE WHEN event_name <> 'ObjectCreated:CompleteMultipartUpload' THEN event_time END)
        AS last_modified,
    coalesce(is_multipart, strpos(etag, '-') > 0) AS is_multipart,
    checksum_algorithm
FROM :"schema".object_versions AS version
WHERE state <> 'removed';

-- It returns rows of `objects`, whose new columns every reader can name in a condition of their own. A parameter more
-- would be a second function, and a call with eight arguments could mean either.
CREATE OR REPLACE FUNCTION :"schema".search_objects(
    in_bucket text,
    prefix text DEFAULT '',
    suffix text DEFAULT NULL,
    matching text DEFAULT NULL,
    larger_than bigint DEFAULT NULL,
    smaller_than bigint DEFAULT NULL,
    since timestamptz DEFAULT NULL,
    before timestamptz DEFAULT NULL
)
RETURNS SETOF :"schema".objects
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        version.bucket, version.key, version.version_id, version.state, version.sequencer, version.event_name,
        version.event_time, version.size_bytes, version.etag, version.ingested_at, version.storage_class,
        version.access_tier, version.restored_until, version.last_modified, version.is_multipart,
        version.checksum_algorithm
    FROM :"schema".versions AS version
    WHERE version.bucket = (search_objects.in_bucket COLLATE "C")
        AND version.key >= (search_objects.prefix COLLATE "C")
        AND version.key < (:"schema".prefix_end(search_objects.prefix) COLLATE "C")
        AND (
            search_objects.suffix IS NULL OR (
                reverse(version.key) >= (reverse(search_objects.suffix) COLLATE "C")
                AND reverse(version.key) < (:"schema".prefix_end(reverse(search_objects.suffix)) COLLATE "C")
            )
        )
        AND (search_objects.matching IS NULL OR version.key ~ search_objects.matching)
        AND (search_objects.larger_than IS NULL OR version.size_bytes > search_objects.larger_than)
        AND (search_objects.smaller_than IS NULL OR version.size_bytes < search_objects.smaller_than)
        AND (search_objects.since IS NULL OR version.event_time >= search_objects.since)
        AND (search_objects.before IS NULL OR version.event_time < search_objects.before)
        AND version.state = 'present'
        AND version.is_latest;
END;
