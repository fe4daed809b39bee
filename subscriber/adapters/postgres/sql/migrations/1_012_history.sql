-- The feature "history": each change of the index, with what the row had been.
--
-- Triggers write it (feature_history_enable.sql), in the transaction of the change. A row of the index as of a moment is
-- what the first change after that moment found there, or, if there was none, what is there now. So an answer needs only
-- the changes since, and old partitions can be dropped at any time.
--
-- There is a partition for each day (UTC), and one that takes the changes of a day that has none, so that no write fails.
-- The index of each begins with the key: without it a timeline or an old state would read every change since.

CREATE TABLE :"schema".object_history (
    bucket         text COLLATE "C" NOT NULL,
    key            text COLLATE "C" NOT NULL,
    version_id     text COLLATE "C" NOT NULL,
    recorded_at    timestamptz NOT NULL,
    state          text COLLATE "C",
    sequencer      text COLLATE "C",
    event_name     text COLLATE "C",
    event_time     timestamptz,
    size_bytes     bigint,
    etag           text COLLATE "C",
    old_state      text COLLATE "C",
    old_sequencer  text COLLATE "C",
    old_event_name text COLLATE "C",
    old_event_time timestamptz,
    old_size_bytes bigint,
    old_etag       text COLLATE "C",
    requester      text COLLATE "C",
    remote_ip      text COLLATE "C",
    request_id     text COLLATE "C"
) PARTITION BY RANGE (recorded_at);

CREATE INDEX object_history_key ON :"schema".object_history (bucket, key, recorded_at);
CREATE TABLE :"schema".object_history_rest PARTITION OF :"schema".object_history DEFAULT;

COMMENT ON TABLE :"schema".object_history IS
    'Each change of object_versions since the feature history is on: what the row became, and what it had been.';
COMMENT ON COLUMN :"schema".object_history.recorded_at IS
    'When the change was written, by the clock of the database; it was committed some milliseconds later.';
COMMENT ON COLUMN :"schema".object_history.state IS
    'As in object_versions; NULL: somebody deleted the row itself.';
COMMENT ON COLUMN :"schema".object_history.old_state IS
    'What the row had been; NULL: there was none.';
COMMENT ON COLUMN :"schema".object_history.requester IS
    'Who made the request, as the event named it; like remote_ip and request_id only with SUBSCRIBER_KEEP_REQUESTER.';
COMMENT ON TABLE :"schema".object_history_rest IS
    'Changes of days for which there was no partition in time.';

-- The triggers. They have the rights of the owner, so that writers need none on the table.

CREATE FUNCTION :"schema".history_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO :"schema".object_history (
        bucket, key, version_id, recorded_at, state, sequencer, event_name, event_time, size_bytes, etag,
        requester, remote_ip, request_id
    )
    SELECT
        bucket, key, version_id, now.moment, state, sequencer, event_name, event_time, size_bytes, etag,
        requester, remote_ip, request_id
    FROM new_rows, (SELECT clock_timestamp() AS moment OFFSET 0) AS now;
    RETURN NULL;
END
$$;

-- A change of other columns, as of the storage class, is none of the content. An update never changes bucket, key or version
-- id. The plan is made once, often for a statement without a row, and kept: a nested loop would then take the square of the
-- rows of a batch.
CREATE FUNCTION :"schema".history_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off
AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    INSERT INTO :"schema".object_history
    SELECT
        bucket, key, version_id, moment,
        after.state, after.sequencer, after.event_name, after.event_time, after.size_bytes, after.etag,
        before.state, before.sequencer, before.event_name, before.event_time, before.size_bytes, before.etag,
        after.requester, after.remote_ip, after.request_id
    FROM new_rows AS after
    JOIN old_rows AS before USING (bucket, key, version_id)
    WHERE (after.sequencer, after.state, after.event_name, after.event_time, after.size_bytes, after.etag)
        IS DISTINCT FROM
        (before.sequencer, before.state, before.event_name, before.event_time, before.size_bytes, before.etag);
    RETURN NULL;
END
$$;

-- `prune` deletes tombstones, which tell no more than that nothing is there.
CREATE FUNCTION :"schema".history_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    INSERT INTO :"schema".object_history (
        bucket, key, version_id, recorded_at,
        old_state, old_sequencer, old_event_name, old_event_time, old_size_bytes, old_etag
    )
    SELECT bucket, key, version_id, moment, state, sequencer, event_name, event_time, size_bytes, etag
    FROM old_rows
    WHERE state <> 'removed';
    RETURN NULL;
END
$$;

-- TRUNCATE tells its triggers no rows: the history begins anew.
CREATE FUNCTION :"schema".history_truncated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    TRUNCATE :"schema".object_history;
    UPDATE :"schema".features SET ready_at = clock_timestamp() WHERE name = 'history';
    RETURN NULL;
END
$$;

-- Makes the partitions of today and so many days after it, and drops those that are older than the feature keeps them, at
-- most ten in one call. How many days after today have one without a gap; NULL: the feature is off, or another session is
-- at it. Writers wait a second at most.
--
-- A day of which the default partition has a change already stays there: its partition could not be attached.
CREATE FUNCTION :"schema".tend_history(ahead integer, OUT made integer, OUT dropped integer, OUT days_ahead integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' SET timezone = 'UTC'
AS $$
DECLARE
    keep_days integer;
    today date := clock_timestamp()::date;
    day date;
    name text;
    days date[];
BEGIN
    made := 0;
    dropped := 0;
    SELECT (options ->> 'keep_days')::integer INTO keep_days
    FROM :"schema".features WHERE features.name = 'history' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    days := ARRAY(
        SELECT to_date(right(relname, 8), 'YYYYMMDD')
        FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = format('%I.object_history', :'schema')::regclass AND relname ~ '^object_history_\d{8}$'
        ORDER BY 1
    );
    FOR day IN SELECT today + number FROM generate_series(0, tend_history.ahead) AS number LOOP
        CONTINUE WHEN day = ANY (days) OR EXISTS (
            SELECT FROM :"schema".object_history_rest WHERE recorded_at >= day AND recorded_at < day + 1
        );
        name := 'object_history_' || to_char(day, 'YYYYMMDD');
        EXECUTE format(
            'CREATE TABLE %1$I.%2$I (LIKE %1$I.object_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', :'schema', name
        );
        EXECUTE format(
            'ALTER TABLE %1$I.object_history ATTACH PARTITION %1$I.%2$I FOR VALUES FROM (%3$L) TO (%4$L)',
            :'schema', name, day::timestamptz, (day + 1)::timestamptz
        );
        days := days || day;
        made := made + 1;
    END LOOP;
    FOR day IN SELECT old FROM unnest(days) AS old WHERE old < today - keep_days ORDER BY old LIMIT 10 LOOP
        EXECUTE format('DROP TABLE %I.%I', :'schema', 'object_history_' || to_char(day, 'YYYYMMDD'));
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM :"schema".object_history_rest WHERE recorded_at < today - keep_days;
    UPDATE :"schema".features SET ready_at = today - keep_days
    WHERE features.name = 'history' AND ready_at < today - keep_days;
    days_ahead := (
        SELECT min(number) - 1 FROM generate_series(0, tend_history.ahead + 1) AS number
        WHERE today + number <> ALL (days)
    );
END
$$;

-- For readers; with the rights of their caller.

CREATE FUNCTION :"schema".versions_at(in_bucket text, prefix text, moment timestamptz)
RETURNS TABLE (
    bucket text, key text, version_id text, state text, is_latest boolean, size_bytes bigint, etag text,
    event_time timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        it.bucket, it.key, it.version_id, it.state,
        row_number() OVER (
            PARTITION BY it.bucket, it.key
            ORDER BY
                it.sequencer DESC, it.event_time DESC, (it.state <> 'present') DESC, it.state DESC,
                coalesce(it.etag, '') DESC, coalesce(it.size_bytes, -1) DESC, it.event_name DESC, it.version_id DESC
        ) = 1,
        it.size_bytes, it.etag, it.event_time
    FROM (
        SELECT
            same.bucket, same.key, same.version_id, same.state, same.sequencer, same.event_name, same.event_time,
            same.size_bytes, same.etag
        FROM :"schema".versions AS same
        WHERE same.bucket = (versions_at.in_bucket COLLATE "C")
            AND same.key >= (versions_at.prefix COLLATE "C")
            AND same.key < (:"schema".prefix_end(versions_at.prefix) COLLATE "C")
            AND NOT EXISTS (
                SELECT FROM :"schema".object_history AS later
                WHERE later.bucket = same.bucket AND later.key = same.key AND later.version_id = same.version_id
                    AND later.recorded_at > versions_at.moment
            )
        UNION ALL
        SELECT
            first.bucket, first.key, first.version_id, first.old_state, first.old_sequencer, first.old_event_name,
            first.old_event_time, first.old_size_bytes, first.old_etag
        FROM (
            SELECT DISTINCT ON (change.bucket, change.key, change.version_id)
                change.bucket, change.key, change.version_id, change.old_state, change.old_sequencer,
                change.old_event_name, change.old_event_time, change.old_size_bytes, change.old_etag
            FROM :"schema".object_history AS change
            WHERE change.bucket = (versions_at.in_bucket COLLATE "C")
                AND change.key >= (versions_at.prefix COLLATE "C")
                AND change.key < (:"schema".prefix_end(versions_at.prefix) COLLATE "C")
                AND change.recorded_at > versions_at.moment
            ORDER BY change.bucket, change.key, change.version_id, change.recorded_at
        ) AS first
        WHERE first.old_state <> 'removed'
    ) AS it;
END;

COMMENT ON FUNCTION :"schema".versions_at(text, text, timestamptz) IS
    'The versions and delete markers below a prefix as of a moment since features.ready_at of the feature history.';

CREATE FUNCTION :"schema".objects_changed(in_bucket text, prefix text, since timestamptz, until timestamptz)
RETURNS TABLE (
    key text, old_version_id text, old_size_bytes bigint, old_etag text, old_event_time timestamptz,
    version_id text, size_bytes bigint, etag text, event_time timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        changed.key, old.version_id, old.size_bytes, old.etag, old.event_time,
        new.version_id, new.size_bytes, new.etag, new.event_time
    FROM (
        SELECT DISTINCT change.key
        FROM :"schema".object_history AS change
        WHERE change.bucket = (objects_changed.in_bucket COLLATE "C")
            AND change.key >= (objects_changed.prefix COLLATE "C")
            AND change.key < (:"schema".prefix_end(objects_changed.prefix) COLLATE "C")
            AND change.recorded_at > objects_changed.since AND change.recorded_at <= objects_changed.until
    ) AS changed
    LEFT JOIN LATERAL (
        SELECT found.version_id, found.size_bytes, found.etag, found.event_time
        FROM :"schema".versions_at(objects_changed.in_bucket, changed.key, objects_changed.since) AS found
        WHERE found.key = changed.key AND found.is_latest AND found.state = 'present'
        LIMIT 1
    ) AS old ON true
    LEFT JOIN LATERAL (
        SELECT found.version_id, found.size_bytes, found.etag, found.event_time
        FROM :"schema".versions_at(objects_changed.in_bucket, changed.key, objects_changed.until) AS found
        WHERE found.key = changed.key AND found.is_latest AND found.state = 'present'
        LIMIT 1
    ) AS new ON true
    WHERE (old.version_id, old.size_bytes, old.etag, old.event_time)
        IS DISTINCT FROM (new.version_id, new.size_bytes, new.etag, new.event_time)
    ORDER BY changed.key;
END;

COMMENT ON FUNCTION :"schema".objects_changed(text, text, timestamptz, timestamptz) IS
    'The objects below a prefix that differ between two moments since features.ready_at of the feature history.';

REVOKE ALL ON FUNCTION
    :"schema".history_inserted(), :"schema".history_updated(), :"schema".history_deleted(),
    :"schema".history_truncated(), :"schema".tend_history(integer),
    :"schema".versions_at(text, text, timestamptz),
    :"schema".objects_changed(text, text, timestamptz, timestamptz)
FROM PUBLIC;
