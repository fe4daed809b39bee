-- What each role may do, table by table and column by column: as much as the daemon's statements need, and no more.
--
-- Run by the owner after every `subscriber migrate` that applied something; running it again changes nothing:
--
--     psql -v schema=subscriber -v writer=subscriber_writer -v reader=subscriber_reader \
--          -v ON_ERROR_STOP=1 -f config/sql/grants.sql
--
-- What the writer cannot do: delete or truncate anything, change a key, read a quarantined body or make it say something
-- else, create or drop a table, change the schema's version.

GRANT USAGE ON SCHEMA :"schema" TO :"writer", :"reader";

-- The upsert reads what it compares, and leaves the key alone.
GRANT SELECT ON :"schema".object_versions TO :"writer";
GRANT INSERT (bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag)
    ON :"schema".object_versions TO :"writer";
GRANT UPDATE (state, sequencer, event_name, event_time, size_bytes, etag, ingested_at)
    ON :"schema".object_versions TO :"writer";

-- The quarantine is written and never read: of a message that is there already only the count moves.
GRANT SELECT (queue, message_id, receive_count) ON :"schema".quarantined_messages TO :"writer";
GRANT INSERT (queue, message_id, reason, detail, body, receive_count) ON :"schema".quarantined_messages TO :"writer";
GRANT UPDATE (receive_count) ON :"schema".quarantined_messages TO :"writer";

-- At its start the daemon sees whether the schema fits.
GRANT SELECT ON :"schema".schema_migrations TO :"writer";

-- Readers see what exists.
GRANT SELECT ON :"schema".objects TO :"reader";
