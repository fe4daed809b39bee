-- For readers who search: the versions that exist, a look-up of given keys, and a search by conditions.
--
-- The view `objects` computes the newest version of every key before anything outside is asked, so a join with it, or an
-- index on a size or a time, cannot be used. `versions` asks for each row whether a newer one exists, by one search in the
-- primary key, and only for rows that meet all other conditions: so it can be entered from a key, a list of keys or any
-- index. For sums over a large part of a bucket, `objects` takes about half as long.
--
-- The functions are plain SQL: PostgreSQL merges them into the query that calls them, so ORDER BY and LIMIT outside use
-- the indexes. They have the rights of their caller, who needs SELECT on the views. No writer waits for any of this; the
-- readers of `objects` wait while it is replaced.

-- The same rows as before: what is neither removed nor a delete marker is present. PostgreSQL has no statistics of what a
-- subquery with DISTINCT gives, and expects one row in 200 to be equal to a constant: with state = 'present' it expected
-- so few rows that it sorted a whole prefix for one page of it.
CREATE OR REPLACE VIEW :"schema".objects AS
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
WHERE state <> 'delete_marker';

CREATE VIEW :"schema".versions AS
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
    ) AS is_latest
FROM :"schema".object_versions AS version
WHERE state <> 'removed';

COMMENT ON VIEW :"schema".versions IS
    'The object versions and delete markers that exist now; is_latest: no newer one of the same key does.';

-- The key after all keys with a prefix: its last character raised by one. U+D7FF is followed by U+E000, as the code
-- points between are surrogates; U+10FFFF has no successor and is dropped. Without an end it is longer than any key.
CREATE FUNCTION :"schema".prefix_end(prefix text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN rtrim(prefix, chr(1114111)) = '' THEN repeat(chr(1114111), 257)
    ELSE left(rtrim(prefix, chr(1114111)), -1) || chr(
        CASE ascii(right(rtrim(prefix, chr(1114111)), 1))
            WHEN 55295 THEN 57344
            ELSE ascii(right(rtrim(prefix, chr(1114111)), 1)) + 1
        END
    )
END;

COMMENT ON FUNCTION :"schema".prefix_end(text) IS
    'The first text after all texts with a prefix, by bytes: key >= prefix AND key < prefix_end(prefix).';

CREATE FUNCTION :"schema".find_objects(in_bucket text, keys text[])
RETURNS TABLE (
    wanted text, found boolean, version_id text, size_bytes bigint, etag text, event_time timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT given.key, object.key IS NOT NULL, object.version_id, object.size_bytes, object.etag, object.event_time
    FROM unnest(find_objects.keys) WITH ORDINALITY AS given (key, number)
    LEFT JOIN LATERAL (
        SELECT version.*
        FROM :"schema".versions AS version
        WHERE version.bucket = (find_objects.in_bucket COLLATE "C") AND version.key = (given.key COLLATE "C")
            AND version.state = 'present' AND version.is_latest
        LIMIT 1
    ) AS object ON true
    ORDER BY given.number;
END;

COMMENT ON FUNCTION :"schema".find_objects(text, text[]) IS
    'Which of these keys exist? One row for each, in their order, by one look-up in the primary key each.';

CREATE FUNCTION :"schema".search_objects(
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
        version.event_time, version.size_bytes, version.etag, version.ingested_at
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

COMMENT ON FUNCTION :"schema".search_objects(text, text, text, text, bigint, bigint, timestamptz, timestamptz) IS
    'The objects of a bucket that meet all conditions given; name them: search_objects(''b'', suffix => ''.csv'').';
