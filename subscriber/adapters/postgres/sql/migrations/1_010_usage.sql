-- The feature "usage": exact numbers of objects, versions and bytes by bucket and folder.
--
-- A statement that changes rows of the index appends one delta for each folder that it changes (triggers, see
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
    objects        bigint NOT NULL,
    object_bytes   numeric NOT NULL,
    versions       bigint NOT NULL,
    version_bytes  numeric NOT NULL,
    delete_markers bigint NOT NULL,
    PRIMARY KEY (bucket, folder)
) WITH (fillfactor = 70);

CREATE TABLE :"schema".usage_deltas (
    bucket         text COLLATE "C" NOT NULL,
    folder         text COLLATE "C" NOT NULL,
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
    bucket       text COLLATE "C" NOT NULL,
    key          text COLLATE "C" NOT NULL,
    objects      integer NOT NULL,
    object_bytes bigint NOT NULL,
    PRIMARY KEY (bucket, key)
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

-- What a key with versions adds to what is counted at once: the latest version, if it is an object, less the row without a
-- version id, if it is one.
CREATE FUNCTION :"schema".usage_adjustment(in_bucket text, in_key text, OUT objects integer, OUT object_bytes bigint)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT
        (coalesce(newest.state, '') = 'present')::integer - (plain.key IS NOT NULL)::integer,
        CASE WHEN newest.state = 'present' THEN coalesce(newest.size_bytes, 0) ELSE 0 END
            - CASE WHEN plain.key IS NOT NULL THEN coalesce(plain.size_bytes, 0) ELSE 0 END
    FROM (SELECT) AS always
    LEFT JOIN LATERAL (
        SELECT state, size_bytes
        FROM :"schema".object_versions
        WHERE bucket = (in_bucket COLLATE "C") AND key = (in_key COLLATE "C") AND state <> 'removed'
        ORDER BY
            sequencer DESC, event_time DESC, (state <> 'present') DESC, state DESC, coalesce(etag, '') DESC,
            coalesce(size_bytes, -1) DESC, event_name DESC, version_id DESC
        LIMIT 1
    ) AS newest ON true
    LEFT JOIN :"schema".object_versions AS plain
        ON plain.bucket = (in_bucket COLLATE "C") AND plain.key = (in_key COLLATE "C") AND plain.version_id = ''
            AND plain.state = 'present';
END;

-- The exact usage of the folders of a bucket that begin with a prefix.
CREATE FUNCTION :"schema".usage_of(in_bucket text, prefix text DEFAULT '')
RETURNS TABLE (
    folder text, objects bigint, object_bytes numeric, versions bigint, version_bytes numeric, delete_markers bigint
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH kept AS (
        SELECT total.folder, total.objects, total.object_bytes, total.versions, total.version_bytes, total.delete_markers
        FROM :"schema".usage_totals AS total
        WHERE total.bucket = (in_bucket COLLATE "C")
            AND total.folder >= (usage_of.prefix COLLATE "C")
            AND total.folder < (:"schema".prefix_end(usage_of.prefix) COLLATE "C")
        UNION ALL
        SELECT delta.folder, delta.objects, delta.object_bytes, delta.versions, delta.version_bytes, delta.delete_markers
        FROM :"schema".usage_deltas AS delta
        WHERE delta.bucket = (in_bucket COLLATE "C")
            AND delta.folder >= (usage_of.prefix COLLATE "C")
            AND delta.folder < (:"schema".prefix_end(usage_of.prefix) COLLATE "C")
        UNION ALL
        SELECT
            :"schema".usage_folder(touched.key, feature.depth), now.objects - coalesce(known.objects, 0),
            now.object_bytes - coalesce(known.object_bytes, 0), 0, 0, 0
        FROM (
            SELECT DISTINCT noted.key
            FROM :"schema".usage_touched AS noted
            WHERE noted.bucket = (in_bucket COLLATE "C")
                AND noted.key >= (usage_of.prefix COLLATE "C")
                AND noted.key < (:"schema".prefix_end(usage_of.prefix) COLLATE "C")
        ) AS touched
        CROSS JOIN (
            SELECT (options ->> 'depth')::integer AS depth FROM :"schema".features WHERE name = 'usage'
        ) AS feature
        CROSS JOIN LATERAL :"schema".usage_adjustment(in_bucket, touched.key) AS now
        LEFT JOIN :"schema".usage_adjustments AS known
            ON known.bucket = (in_bucket COLLATE "C") AND known.key = (touched.key COLLATE "C")
    )
    SELECT
        kept.folder, sum(kept.objects)::bigint, sum(kept.object_bytes), sum(kept.versions)::bigint,
        sum(kept.version_bytes), sum(kept.delete_markers)::bigint
    FROM kept
    WHERE starts_with(kept.folder, usage_of.prefix)
    GROUP BY kept.folder
    HAVING sum(kept.objects) <> 0 OR sum(kept.versions) <> 0 OR sum(kept.delete_markers) <> 0;
END;

COMMENT ON FUNCTION :"schema".usage_of(text, text) IS
    'What lies in each folder of a bucket, and in no deeper one that is counted: exact, if the feature usage is ready.';

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
        bucket, substring(key COLLATE "C" FROM pattern),
        count(*) FILTER (WHERE state = 'present' AND version_id = ''),
        coalesce(sum(size_bytes) FILTER (WHERE state = 'present' AND version_id = ''), 0),
        count(*) FILTER (WHERE state = 'present'), coalesce(sum(size_bytes) FILTER (WHERE state = 'present'), 0),
        count(*) FILTER (WHERE state = 'delete_marker')
    FROM new_rows
    WHERE state <> 'removed'
    GROUP BY 1, 2;
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
            bucket, substring(key COLLATE "C" FROM pattern) AS folder,
            coalesce(sum(sign) FILTER (WHERE state = 'present' AND version_id = ''), 0) AS objects,
            coalesce(sum(sign * size_bytes) FILTER (WHERE state = 'present' AND version_id = ''), 0) AS object_bytes,
            coalesce(sum(sign) FILTER (WHERE state = 'present'), 0) AS versions,
            coalesce(sum(sign * size_bytes) FILTER (WHERE state = 'present'), 0) AS version_bytes,
            coalesce(sum(sign) FILTER (WHERE state = 'delete_marker'), 0) AS delete_markers
        FROM (
            SELECT 1 AS sign, bucket, key, version_id, state, size_bytes FROM new_rows
            UNION ALL
            SELECT -1, bucket, key, version_id, state, size_bytes FROM old_rows
        ) AS changed
        WHERE state <> 'removed'
        GROUP BY 1, 2
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
        bucket, substring(key COLLATE "C" FROM pattern),
        -count(*) FILTER (WHERE state = 'present' AND version_id = ''),
        -coalesce(sum(size_bytes) FILTER (WHERE state = 'present' AND version_id = ''), 0),
        -count(*) FILTER (WHERE state = 'present'), -coalesce(sum(size_bytes) FILTER (WHERE state = 'present'), 0),
        -count(*) FILTER (WHERE state = 'delete_marker')
    FROM old_rows
    WHERE state <> 'removed'
    GROUP BY 1, 2;
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
    ), looked AS (
        SELECT
            one.bucket, one.key, now.objects, now.object_bytes, now.objects - coalesce(known.objects, 0) AS more_objects,
            now.object_bytes::numeric - coalesce(known.object_bytes, 0) AS more_bytes, known.key IS NOT NULL AS is_known
        FROM (SELECT DISTINCT bucket, key FROM gone) AS one
        CROSS JOIN LATERAL :"schema".usage_adjustment(one.bucket, one.key) AS now
        LEFT JOIN :"schema".usage_adjustments AS known ON known.bucket = one.bucket AND known.key = one.key
    ), kept AS (
        INSERT INTO :"schema".usage_adjustments AS stored
        SELECT bucket, key, objects, object_bytes
        FROM looked
        WHERE objects <> 0 OR object_bytes <> 0
        ON CONFLICT (bucket, key) DO UPDATE SET objects = EXCLUDED.objects, object_bytes = EXCLUDED.object_bytes
        WHERE (stored.objects, stored.object_bytes) <> (EXCLUDED.objects, EXCLUDED.object_bytes)
    ), dropped AS (
        DELETE FROM :"schema".usage_adjustments AS stored
        USING looked
        WHERE looked.is_known AND looked.objects = 0 AND looked.object_bytes = 0
            AND stored.bucket = looked.bucket AND stored.key = looked.key
    ), added AS (
        INSERT INTO :"schema".usage_deltas
        SELECT bucket, :"schema".usage_folder(key, depth), sum(more_objects), sum(more_bytes), 0, 0, 0
        FROM looked
        WHERE more_objects <> 0 OR more_bytes <> 0
        GROUP BY 1, 2
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
            bucket, folder, sum(objects), sum(object_bytes), sum(versions), sum(version_bytes), sum(delete_markers)
        FROM gone
        GROUP BY bucket, folder
        ORDER BY bucket, folder
        ON CONFLICT (bucket, folder) DO UPDATE SET
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
