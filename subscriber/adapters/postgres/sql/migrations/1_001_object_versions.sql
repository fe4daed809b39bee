-- The index: one row per object version, with the content of its newest event.
--
-- Text is compared byte by byte (COLLATE "C"): neither the order of events nor that of keys, as S3 lists them, may depend
-- on a locale, nor an index on the version of a library. The checks repeat the limits of decode, because the table
-- outlives any decoder.
--
-- All updates are HOT as long as only the key is indexed and pages have free space: hence fillfactor 90. An additional
-- index on other columns costs every update an index entry.

CREATE TABLE :"schema".object_versions (
    bucket      text COLLATE "C" NOT NULL CHECK (octet_length(bucket) BETWEEN 1 AND 255),
    key         text COLLATE "C" NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 1024),
    version_id  text COLLATE "C" NOT NULL CHECK (octet_length(version_id) <= 1024),
    state       text COLLATE "C" NOT NULL CHECK (state IN ('present', 'delete_marker', 'removed')),
    sequencer   text COLLATE "C" NOT NULL
                CHECK (octet_length(sequencer) <= 72 AND sequencer ~ '^([0-9A-F]*[1-9A-F])?$'),
    event_name  text COLLATE "C" NOT NULL,
    event_time  timestamptz NOT NULL,
    size_bytes  bigint CHECK (size_bytes >= 0),
    etag        text COLLATE "C" CHECK (octet_length(etag) BETWEEN 1 AND 255),
    ingested_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bucket, key, version_id)
) WITH (fillfactor = 90);

COMMENT ON TABLE :"schema".object_versions IS
    'One row per object version: what the newest S3 event said about it. The view "objects" is for readers.';
COMMENT ON COLUMN :"schema".object_versions.version_id IS
    'Empty for buckets without versioning and for the null version.';
COMMENT ON COLUMN :"schema".object_versions.state IS
    'present, delete_marker, or removed: a tombstone, kept so that a late older event cannot bring it back.';
COMMENT ON COLUMN :"schema".object_versions.sequencer IS
    'Canonical form: upper-case hexadecimal digits without trailing zeros, compared as text. At most 64 come '
    'from the event, 8 more stand for its second where the event brought none.';
COMMENT ON COLUMN :"schema".object_versions.ingested_at IS
    'When the row got its present content.';
