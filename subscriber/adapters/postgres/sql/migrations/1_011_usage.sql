-- The feature "usage": exact numbers of objects, versions and bytes by bucket, folder and storage class.
--
-- A statement that changes rows of the index appends one delta for each folder and class that it changes (triggers, see
-- feature_usage_enable.sql). Nobody waits for a counter, and a delta is committed with its rows. A fold adds deltas to the
-- totals now and then; whoever reads adds what is not folded yet, so every answer is exact.
--
-- Rows without a version id are counted as objects at once: as if each were the only one of its key. A key that has
-- versions may be another matter: which of them is the latest takes a look at all. So a change of such a key is only noted
-- in usage_touched, and the fold keeps in usage_adjustments by how much the key differs from what is counted at once.
--
-- Two transactions may change versions of one key without seeing each other, and the one that does not know of versions yet
-- does not note the key. So the fold takes a note only when every transaction has ended that ran when the note was seen
-- first: usage_state holds that moment as a snapshot.

CREATE TABLE :"schema".usage_totals (
    bucket         text COLLATE "C" NOT NULL,
    folder         text COLLATE "C" NOT NULL,
    storage_class  text COLLATE "C" NOT NULL,
    objects        bigint NOT NULL,
    object_bytes   numeric NOT NULL,
    versions       bigint NOT NULL,
    version_bytes  numeric NOT NULL,
    delete_markers bigint NOT NULL,
    PRIMARY KEY (bucket, folder, storage_class)
) WITH (fillfactor = 70);

CREATE TABLE :"schema".usage_deltas (
    bucket         text COLLATE "C" NOT NULL,
    folder         text COLLATE "C" NOT NULL,
    storage_class  text COLLATE "C" NOT NULL,
    objects        bigint NOT NULL,
    object_bytes   numeric NOT NULL,
    versions       bigint NOT NULL,
    version_bytes  numeric NOT NULL,
    delete_markers bigint NOT NULL
);

CREATE TABLE :"schema".usage_touched (
    bucket text COLLATE "C" NOT NULL,
    key    text COLLATE "C" NOT NULL,
    xid    xid8 NOT NULL DEFAULT pg_current_xact_id()
);

CREATE TABLE :"schema".usage_adjustments (
    bucket        text COLLATE "C" NOT NULL,
    key           text COLLATE "C" NOT NULL,
    storage_class text COLLATE "C" NOT NULL,
    objects       integer NOT NULL,
    object_bytes  bigint NOT NULL,
    PRIMARY KEY (bucket, key, storage_class)
) WITH (fillfactor = 70);

CREATE TABLE :"schema".usage_versioned_buckets (
    bucket text COLLATE "C" PRIMARY KEY
);

CREATE TABLE :"schema".usage_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen     pg_snapshot NOT NULL
);
INSERT INTO :"schema".usage_state (seen) VALUES (pg_current_snapshot());

COMMENT ON TABLE :"schema".usage_totals IS
    'Of each folder, down to the depth of the feature: what lies in it and in no deeper one. Folded; usage_of adds the rest.';
COMMENT ON COLUMN :"schema".usage_totals.storage_class IS
    'Empty where neither an event nor a listing named it.';
COMMENT ON TABLE :"schema".usage_deltas IS
    'What statements have added to folders and a fold has not yet added to usage_totals.';
COMMENT ON TABLE :"schema".usage_touched IS
    'Keys with versions that were changed and not looked at since.';
COMMENT ON TABLE :"schema".usage_adjustments IS
    'Keys with versions: how many objects and bytes to add to what is counted at once.';
COMMENT ON TABLE :"schema".usage_versioned_buckets IS
    'Buckets of which a row with a version id was stored: every change of theirs is noted in usage_touched.';
COMMENT ON TABLE :"schema".usage_state IS
    'The snapshot of the last fold: what it saw in usage_touched is looked at when no transaction of that time runs any more.';

-- The folder of a key, with its slash: the first so many names of its path, or all, if there are fewer. The cast to text
-- keeps the expression immutable: otherwise PostgreSQL would call the function for each row, for four times as much CPU.
CREATE FUNCTION :"schema".usage_folder(key text, depth integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN substring(key COLLATE "C" FROM '^(?:[^/]*/){0,' || depth::text || '}');

-- What a key with versions adds to what is counted at once, by storage class: the latest version, if it is an object, less
-- the row without a version id, if it is one.
CREATE FUNCTION :"schema".usage_adjustment(in_bucket text, in_key text)
RETURNS TABLE (storage_class text, objects integer, object_bytes bigint)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT part.storage_class, sum(part.objects)::integer, sum(part.object_bytes)::bigint
    FROM (
        SELECT coalesce(newest.storage_class, '') AS storage_class, 1 AS objects, coalesce(newest.size_bytes, 0) AS object_bytes
        FROM (
            SELECT version.storage_class, version.state, version.size_bytes
            FROM :"schema".object_versions AS version
            WHERE version.bucket = (in_bucket COLLATE "C") AND version.key = (in_key COLLATE "C")
                AND version.state <> 'removed'
            ORDER BY
                version.sequencer DESC, version.event_time DESC, (version.state <> 'present') DESC, version.state DESC,
                coalesce(version.etag, '') DESC, coalesce(version.size_bytes, -1) DESC, version.event_name DESC,
                version.version_id DESC
            LIMIT 1
        ) AS newest
        WHERE newest.state = 'present'
        UNION ALL
        SELECT coalesce(plain.storage_class, ''), -1, -coalesce(plain.size_bytes, 0)
        FROM :"schema".object_versions AS plain
        WHERE plain.bucket = (in_bucket COLLATE "C") AND plain.key = (in_key COLLATE "C") AND plain.version_id = ''
            AND plain.state = 'present'
    ) AS part
    GROUP BY part.storage_class
    HAVING sum(part.objects) <> 0 OR sum(part.object_bytes) <> 0;
END;

-- The exact usage of the folders of a bucket that begin with a prefix.
CREATE FUNCTION :"schema".usage_of(in_bucket text, prefix text DEFAULT '')
RETURNS TABLE (
    folder text, storage_class text, objects bigint, object_bytes numeric, versions bigint, version_bytes numeric,
    delete_markers bigint
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH feature AS (
        SELECT (options ->> 'depth')::integer AS depth FROM :"schema".features WHERE name = 'usage'
    ), touched AS (
        SELECT DISTINCT noted.key
        FROM :"schema".usage_touched AS noted
        WHERE noted.bucket = (in_bucket COLLATE "C")
            AND noted.key >= (usage_of.prefix COLLATE "C")
            AND noted.key < (:"schema".prefix_end(usage_of.prefix) COLLATE "C")
    ), kept AS (
        SELECT
            total.folder, total.storage_class, total.objects, total.object_bytes, total.versions, total.version_bytes,
            total.delete_markers
        FROM :"schema".usage_totals AS total
        WHERE total.bucket = (in_bucket COLLATE "C")
            AND total.folder >= (usage_of.prefix COLLATE "C")
            AND total.folder < (:"schema".prefix_end(usage_of.prefix) COLLATE "C")
        UNION ALL
        SELECT
            delta.folder, delta.storage_class, delta.objects, delta.object_bytes, delta.versions, delta.version_bytes,
            delta.delete_markers
        FROM :"schema".usage_deltas AS delta
        WHERE delta.bucket = (in_bucket COLLATE "C")
            AND delta.folder >= (usage_of.prefix COLLATE "C")
            AND delta.folder < (:"schema".prefix_end(usage_of.prefix) COLLATE "C")
        UNION ALL
        SELECT
            :"schema".usage_folder(touched.key, feature.depth), now.storage_class, now.objects, now.object_bytes, 0, 0, 0
        FROM touched
        CROSS JOIN feature
        CROSS JOIN LATERAL :"schema".usage_adjustment(in_bucket, touched.key) AS now
        UNION ALL
        SELECT
            :"schema".usage_folder(touched.key, feature.depth), known.storage_class, -known.objects,
            -known.object_bytes::numeric, 0, 0, 0
        FROM touched
        CROSS JOIN feature
        JOIN :"schema".usage_adjustments AS known
            ON known.bucket = (in_bucket COLLATE "C") AND known.key = (touched.key COLLATE "C")
    )
    SELECT
        kept.folder, kept.storage_class, sum(kept.objects)::bigint, sum(kept.object_bytes), sum(kept.versions)::bigint,
        sum(kept.version_bytes), sum(kept.delete_markers)::bigint
    FROM kept
    WHERE starts_with(kept.folder, usage_of.prefix)
    GROUP BY kept.folder, kept.storage_class
    HAVING sum(kept.objects) <> 0 OR sum(kept.versions) <> 0 OR sum(kept.delete_markers) <> 0;
END;

COMMENT ON FUNCTION :"schema".usage_of(text, text) IS
    'What lies in each folder of a bucket, and in no deeper one that is counted, by storage class: exact, if the feature '
    'usage is ready.';

-- The triggers. They have the rights of the owner, so that writers need none on these tables.

-- Their argument is the depth.

CREATE FUNCTION :"schema".usage_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pattern text := '^(?:[^/]*/){0,' || TG_ARGV[0] || '}';  -- as in usage_folder
BEGIN
    INSERT INTO :"schema".usage_deltas
    SELECT
        bucket, substring(key COLLATE "C" FROM pattern), coalesce(storage_class, ''),
        count(*) FILTER (WHERE state = 'present' AND version_id = ''),
        coalesce(sum(size_bytes) FILTER (WHERE state = 'present' AND version_id = ''), 0),
        count(*) FILTER (WHERE state = 'present'), coalesce(sum(size_bytes) FILTER (WHERE state = 'present'), 0),
        count(*) FILTER (WHERE state = 'delete_marker')
    FROM new_rows
    WHERE state <> 'removed'
    GROUP BY 1, 2, 3;
    IF EXISTS (SELECT FROM new_rows WHERE version_id <> '') THEN
        INSERT INTO :"schema".usage_versioned_buckets (bucket)
        SELECT DISTINCT bucket
        FROM new_rows
        WHERE version_id <> ''
            AND bucket NOT IN (SELECT known.bucket FROM :"schema".usage_versioned_buckets AS known)
        ON CONFLICT DO NOTHING;
    END IF;
    IF EXISTS (SELECT FROM :"schema".usage_versioned_buckets) THEN
        INSERT INTO :"schema".usage_touched (bucket, key)
        SELECT bucket, key
        FROM new_rows
        WHERE state <> 'removed' AND bucket IN (SELECT known.bucket FROM :"schema".usage_versioned_buckets AS known);
    END IF;
    RETURN NULL;
END
$$;

-- An update never changes bucket, key or version id, so each old row has its new one.
CREATE FUNCTION :"schema".usage_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pattern text := '^(?:[^/]*/){0,' || TG_ARGV[0] || '}';  -- as in usage_folder
BEGIN
    INSERT INTO :"schema".usage_deltas
    SELECT *
    FROM (
        SELECT
            bucket, substring(key COLLATE "C" FROM pattern) AS folder, coalesce(storage_class, '') AS storage_class,
            coalesce(sum(sign) FILTER (WHERE state = 'present' AND version_id = ''), 0) AS objects,
            coalesce(sum(sign * size_bytes) FILTER (WHERE state = 'present' AND version_id = ''), 0) AS object_bytes,
            coalesce(sum(sign) FILTER (WHERE state = 'present'), 0) AS versions,
            coalesce(sum(sign * size_bytes) FILTER (WHERE state = 'present'), 0) AS version_bytes,
            coalesce(sum(sign) FILTER (WHERE state = 'delete_marker'), 0) AS delete_markers
        FROM (
            SELECT 1 AS sign, bucket, key, version_id, state, size_bytes, storage_class FROM new_rows
            UNION ALL
            SELECT -1, bucket, key, version_id, state, size_bytes, storage_class FROM old_rows
        ) AS changed
        WHERE state <> 'removed'
        GROUP BY 1, 2, 3
    ) AS sums
    WHERE (objects, object_bytes, versions, version_bytes, delete_markers) <> (0, 0, 0, 0, 0);
    IF EXISTS (SELECT FROM :"schema".usage_versioned_buckets) THEN
        INSERT INTO :"schema".usage_touched (bucket, key)
        SELECT bucket, key
        FROM new_rows
        WHERE bucket IN (SELECT known.bucket FROM :"schema".usage_versioned_buckets AS known);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION :"schema".usage_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pattern text := '^(?:[^/]*/){0,' || TG_ARGV[0] || '}';  -- as in usage_folder
BEGIN
    INSERT INTO :"schema".usage_deltas
    SELECT
        bucket, substring(key COLLATE "C" FROM pattern), coalesce(storage_class, ''),
        -count(*) FILTER (WHERE state = 'present' AND version_id = ''),
        -coalesce(sum(size_bytes) FILTER (WHERE state = 'present' AND version_id = ''), 0),
        -count(*) FILTER (WHERE state = 'present'), -coalesce(sum(size_bytes) FILTER (WHERE state = 'present'), 0),
        -count(*) FILTER (WHERE state = 'delete_marker')
    FROM old_rows
    WHERE state <> 'removed'
    GROUP BY 1, 2, 3;
    INSERT INTO :"schema".usage_touched (bucket, key)
    SELECT bucket, key
    FROM old_rows
    WHERE state <> 'removed' AND bucket IN (SELECT known.bucket FROM :"schema".usage_versioned_buckets AS known);
    RETURN NULL;
END
$$;

CREATE FUNCTION :"schema".usage_truncated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    TRUNCATE :"schema".usage_totals, :"schema".usage_deltas, :"schema".usage_touched, :"schema".usage_adjustments,
        :"schema".usage_versioned_buckets;
    RETURN NULL;
END
$$;

-- Adds deltas to the totals and looks at keys with versions, at most so many rows of each; how many rows of each were taken.
-- One session folds at a time: for others there is nothing to do. Each of its statements sees one state of all tables.
CREATE FUNCTION :"schema".fold_usage(rows_at_most integer, OUT deltas bigint, OUT touched bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    depth integer;
BEGIN
    deltas := 0;
    touched := 0;
    SELECT (options ->> 'depth')::integer INTO depth
    FROM :"schema".features
    WHERE name = 'usage' AND ready_at IS NOT NULL;
    IF depth IS NULL THEN
        RETURN;
    END IF;
    BEGIN
        LOCK TABLE :"schema".usage_state IN EXCLUSIVE MODE NOWAIT;
    EXCEPTION WHEN lock_not_available THEN
        RETURN;
    END;

    WITH gone AS (
        DELETE FROM :"schema".usage_touched
        WHERE ctid = ANY (ARRAY(
            SELECT noted.ctid
            FROM :"schema".usage_touched AS noted, :"schema".usage_state AS state
            WHERE pg_visible_in_snapshot(noted.xid, state.seen)
                AND pg_snapshot_xmin(pg_current_snapshot()) >= pg_snapshot_xmax(state.seen)
            LIMIT rows_at_most
        ))
        RETURNING bucket, key
    ), keys AS (
        SELECT DISTINCT bucket, key FROM gone
    ), looked AS (
        SELECT
            bucket, key, storage_class, coalesce(sum(objects) FILTER (WHERE is_now), 0) AS objects,
            coalesce(sum(object_bytes) FILTER (WHERE is_now), 0) AS object_bytes,
            sum(CASE WHEN is_now THEN objects ELSE -objects END) AS more_objects,
            sum(CASE WHEN is_now THEN object_bytes ELSE -object_bytes END) AS more_bytes
        FROM (
            SELECT true AS is_now, keys.bucket, keys.key, now.storage_class, now.objects, now.object_bytes::numeric
            FROM keys
            CROSS JOIN LATERAL :"schema".usage_adjustment(keys.bucket, keys.key) AS now
            UNION ALL
            SELECT false, known.bucket, known.key, known.storage_class, known.objects, known.object_bytes
            FROM keys
            JOIN :"schema".usage_adjustments AS known ON known.bucket = keys.bucket AND known.key = keys.key
        ) AS both_sides (is_now, bucket, key, storage_class, objects, object_bytes)
        GROUP BY bucket, key, storage_class
    ), kept AS (
        INSERT INTO :"schema".usage_adjustments AS stored
        SELECT bucket, key, storage_class, objects, object_bytes
        FROM looked
        WHERE (objects <> 0 OR object_bytes <> 0) AND (more_objects <> 0 OR more_bytes <> 0)
        ON CONFLICT (bucket, key, storage_class) DO UPDATE SET
            objects = EXCLUDED.objects, object_bytes = EXCLUDED.object_bytes
    ), dropped AS (
        DELETE FROM :"schema".usage_adjustments AS stored
        USING looked
        WHERE looked.objects = 0 AND looked.object_bytes = 0 AND stored.bucket = looked.bucket
            AND stored.key = looked.key AND stored.storage_class = looked.storage_class
    ), added AS (
        INSERT INTO :"schema".usage_deltas
        SELECT
            bucket, :"schema".usage_folder(key, depth), storage_class, sum(more_objects), sum(more_bytes), 0, 0, 0
        FROM looked
        WHERE more_objects <> 0 OR more_bytes <> 0
        GROUP BY 1, 2, 3
    )
    SELECT count(*) INTO touched FROM gone;

    UPDATE :"schema".usage_state
    SET seen = pg_current_snapshot()
    WHERE pg_snapshot_xmin(pg_current_snapshot()) >= pg_snapshot_xmax(seen);

    WITH gone AS (
        DELETE FROM :"schema".usage_deltas
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM :"schema".usage_deltas LIMIT rows_at_most))
        RETURNING *
    ), folded AS (
        INSERT INTO :"schema".usage_totals AS total
        SELECT
            bucket, folder, storage_class, sum(objects), sum(object_bytes), sum(versions), sum(version_bytes),
            sum(delete_markers)
        FROM gone
        GROUP BY bucket, folder, storage_class
        ORDER BY bucket, folder, storage_class
        ON CONFLICT (bucket, folder, storage_class) DO UPDATE SET
            objects = total.objects + EXCLUDED.objects,
            object_bytes = total.object_bytes + EXCLUDED.object_bytes,
            versions = total.versions + EXCLUDED.versions,
            version_bytes = total.version_bytes + EXCLUDED.version_bytes,
            delete_markers = total.delete_markers + EXCLUDED.delete_markers
    )
    SELECT count(*) INTO deltas FROM gone;
END
$$;
REVOKE ALL ON FUNCTION :"schema".fold_usage(integer), :"schema".usage_of(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION
    :"schema".usage_inserted(), :"schema".usage_updated(), :"schema".usage_deleted(), :"schema".usage_truncated()
FROM PUBLIC;
