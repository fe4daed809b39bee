-- Privileges of each role, by table and column: what the daemon's statements need, and no more.
--
-- Run by the owner after every `subscriber migrate` that applied something; running it again changes nothing:
--
--     psql -v schema=subscriber -v writer=subscriber_writer -v reader=subscriber_reader \
--          -v ON_ERROR_STOP=1 -f config/sql/grants.sql
--
-- The writer cannot truncate anything, delete anything but the queue and the results of enrichment, change a key, read or
-- change a quarantined body, create or drop a table, or change the schema's version. Only the owner deletes jobs.

GRANT USAGE ON SCHEMA :"schema" TO :"writer", :"reader";

-- The upsert reads the columns it compares, and never updates the key.
GRANT SELECT ON :"schema".object_versions TO :"writer";
GRANT INSERT (
        bucket, key, version_id, state, sequencer, event_name, event_time, size_bytes, etag, storage_class, last_modified,
        is_multipart, checksum_algorithm, requester, remote_ip, request_id
    ) ON :"schema".object_versions TO :"writer";
GRANT UPDATE (
        state, sequencer, event_name, event_time, size_bytes, etag, ingested_at, storage_class, access_tier, restored_until,
        last_modified, is_multipart, checksum_algorithm, requester, remote_ip, request_id, storage_sequencer,
        restore_sequencer
    ) ON :"schema".object_versions TO :"writer";

-- The quarantine's bodies are written and never read; for a message that it already holds only the count is updated. The
-- number of messages that wait, by reason, is a metric.
GRANT SELECT (queue, message_id, receive_count, reason, replayed_at) ON :"schema".quarantined_messages TO :"writer";
GRANT INSERT (queue, message_id, reason, detail, body, receive_count) ON :"schema".quarantined_messages TO :"writer";
GRANT UPDATE (receive_count) ON :"schema".quarantined_messages TO :"writer";

-- Workers of jobs take ranges and commit pages; operators create and steer jobs. A daemon without a schedule
-- of reconciliation runs without these privileges.
GRANT SELECT ON :"schema".jobs TO :"writer";
GRANT INSERT (kind, bucket, prefix, options, concurrency, tolerated_failures, tolerated_percent, created_by)
    ON :"schema".jobs TO :"writer";
GRANT UPDATE (state, concurrency, tolerated_failures, tolerated_percent, started_at, finished_at)
    ON :"schema".jobs TO :"writer";
GRANT SELECT ON :"schema".job_ranges TO :"writer";
GRANT INSERT (job_id, number, after, upto, state, attempts, claims, worker, lease_until, started_at)
    ON :"schema".job_ranges TO :"writer";
GRANT UPDATE (
        upto, position, cut_at, state, attempts, claims, worker, lease_until, moment, listed, written, missing, ghost, stale, fresh,
        requests, bytes, examples, error, started_at, finished_at
    ) ON :"schema".job_ranges TO :"writer";

-- The daemon notes what it has stored of each bucket; without these privileges it goes on, and the log says so.
GRANT SELECT ON :"schema".buckets TO :"writer";
GRANT INSERT (bucket, events_since, oldest_event_time, youngest_event_time, last_stored_at, event_rows)
    ON :"schema".buckets TO :"writer";
GRANT UPDATE (events_since, oldest_event_time, youngest_event_time, last_stored_at, event_rows)
    ON :"schema".buckets TO :"writer";

-- The daemon folds the counters of usage; the triggers that write them have the rights of their owner.
GRANT EXECUTE ON FUNCTION :"schema".fold_usage(integer) TO :"writer";

-- The daemon makes the partitions of the history, and drops old ones, by a function with the rights of its owner.
GRANT EXECUTE ON FUNCTION :"schema".tend_history(integer) TO :"writer";
-- The daemon asks S3 for the metadata of queued versions: it takes them off the queue, and drops what S3 does not have.
-- Triggers that have the rights of their owner queue them. Without SUBSCRIBER_ENRICH a daemon needs none of these.
GRANT SELECT, INSERT, UPDATE, DELETE ON :"schema".enrichment_queue TO :"writer";
GRANT SELECT, INSERT, UPDATE, DELETE ON :"schema".object_metadata TO :"writer";
GRANT SELECT, INSERT, UPDATE ON :"schema".enrichment_requests TO :"writer";

-- At start the daemon checks the version of the schema.
GRANT SELECT ON :"schema".schema_migrations TO :"writer";

-- Readers see the objects and versions that exist, and search them; these functions have no rights of their own.
GRANT SELECT ON :"schema".objects TO :"reader";
GRANT SELECT ON :"schema".versions TO :"reader";
GRANT EXECUTE ON FUNCTION :"schema".prefix_end(text), :"schema".find_objects(text, text[]),
    :"schema".search_objects(text, text, text, text, bigint, bigint, timestamptz, timestamptz) TO :"reader";

-- Readers ask the counters of usage, which a function adds up.
GRANT SELECT ON :"schema".features TO :"reader";
GRANT EXECUTE ON FUNCTION :"schema".usage_of(text, text), :"schema".usage_folder(text, integer) TO :"reader";

-- Readers ask the history: changes, old states of a prefix, and what differs between two of them.
GRANT SELECT ON :"schema".object_history TO :"reader";
GRANT EXECUTE ON FUNCTION :"schema".versions_at(text, text, timestamptz),
    :"schema".objects_changed(text, text, timestamptz, timestamptz) TO :"reader";
-- Readers search by content type, user metadata and tags.
GRANT SELECT ON :"schema".object_metadata TO :"reader";
