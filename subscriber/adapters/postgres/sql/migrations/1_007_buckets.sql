-- The buckets of which events were stored: since when, and how old the youngest event is.
--
-- A daemon adds up in memory what its batches store of each bucket, and adds that here every few seconds: a batch writes
-- its own rows and nothing else. Buckets that the index has already are found by one search in the primary key each,
-- so the number of rows does not matter; when their first event came is not known. All updates are HOT.

CREATE TABLE :"schema".buckets (
    bucket              text COLLATE "C" PRIMARY KEY CHECK (octet_length(bucket) BETWEEN 1 AND 255),
    noted_at            timestamptz NOT NULL DEFAULT now(),
    events_since        timestamptz,
    oldest_event_time   timestamptz,
    youngest_event_time timestamptz,
    last_stored_at      timestamptz,
    event_rows          bigint NOT NULL DEFAULT 0 CHECK (event_rows >= 0)
) WITH (fillfactor = 50);

COMMENT ON TABLE :"schema".buckets IS
    'The buckets of which events were stored, as the daemons note it every few seconds; `subscriber buckets` reads it.';
COMMENT ON COLUMN :"schema".buckets.noted_at IS
    'When this row was made.';
COMMENT ON COLUMN :"schema".buckets.events_since IS
    'When the first event was stored; NULL: before this table was made.';
COMMENT ON COLUMN :"schema".buckets.oldest_event_time IS
    'When the oldest event stored since noted_at happened; NULL: none was stored since.';
COMMENT ON COLUMN :"schema".buckets.youngest_event_time IS
    'When the youngest of them happened, no later than it was noted.';
COMMENT ON COLUMN :"schema".buckets.last_stored_at IS
    'When the last of them was stored.';
COMMENT ON COLUMN :"schema".buckets.event_rows IS
    'Rows that events brought since noted_at, about: one that came twice counts twice, and what a crash kept from being '
    'noted is missing.';

INSERT INTO :"schema".buckets (bucket)
WITH RECURSIVE found (bucket) AS (
    (SELECT bucket FROM :"schema".object_versions ORDER BY bucket LIMIT 1)
    UNION ALL
    SELECT (SELECT next.bucket FROM :"schema".object_versions AS next WHERE next.bucket > found.bucket
            ORDER BY next.bucket LIMIT 1)
    FROM found
    WHERE found.bucket IS NOT NULL
)
SELECT bucket FROM found WHERE bucket IS NOT NULL;
