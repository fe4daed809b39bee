-- Jobs that list a bucket and compare it with the index, and the ranges of keys in which they do it.
--
-- A worker holds a range by a lease and commits its position after each page, so that any worker can go on after any end.
-- The daemon itself reads and writes neither table. Updates of a position are HOT: its columns are in no index.

CREATE TABLE :"schema".jobs (
    job_id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind               text COLLATE "C" NOT NULL CHECK (octet_length(kind) BETWEEN 1 AND 50),
    bucket             text COLLATE "C" NOT NULL CHECK (octet_length(bucket) BETWEEN 1 AND 255),
    prefix             text COLLATE "C" NOT NULL DEFAULT '' CHECK (octet_length(prefix) <= 1024),
    options            jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'),
    state              text COLLATE "C" NOT NULL DEFAULT 'running'
                       CHECK (state IN ('running', 'paused', 'succeeded', 'failed', 'cancelled')),
    concurrency        integer NOT NULL CHECK (concurrency BETWEEN 1 AND 1000),
    tolerated_failures integer CHECK (tolerated_failures >= 0),
    tolerated_percent  double precision CHECK (tolerated_percent BETWEEN 0 AND 100),
    created_by         text COLLATE "C" NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    started_at         timestamptz,
    finished_at        timestamptz,
    CHECK (num_nonnulls(tolerated_failures, tolerated_percent) = 1)
);

CREATE TABLE :"schema".job_ranges (
    job_id      bigint NOT NULL REFERENCES :"schema".jobs ON DELETE CASCADE,
    number      integer NOT NULL CHECK (number >= 1),
    after       text COLLATE "C" NOT NULL CHECK (octet_length(after) <= 1024),
    upto        text COLLATE "C" CHECK (octet_length(upto) <= 1024 AND upto > after),
    position    text COLLATE "C" CHECK (octet_length(position) <= 1024 AND position >= after),
    state       text COLLATE "C" NOT NULL DEFAULT 'pending'
                CHECK (state IN ('pending', 'running', 'succeeded', 'failed')),
    attempts    integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    claims      integer NOT NULL DEFAULT 0 CHECK (claims >= 0),
    worker      text COLLATE "C",
    lease_until timestamptz,
    moment      bigint,
    listed      bigint NOT NULL DEFAULT 0,
    written     bigint NOT NULL DEFAULT 0,
    missing     bigint NOT NULL DEFAULT 0,
    ghost       bigint NOT NULL DEFAULT 0,
    stale       bigint NOT NULL DEFAULT 0,
    fresh       bigint NOT NULL DEFAULT 0,
    requests    bigint NOT NULL DEFAULT 0,
    bytes       bigint NOT NULL DEFAULT 0,
    examples    jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(examples) = 'array'),
    error       text COLLATE "C",
    started_at  timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (job_id, number),
    CHECK ((state = 'running') = (lease_until IS NOT NULL))
) WITH (fillfactor = 70);

-- A claim finds the next range, and counts those in work, however many there are in other states.
CREATE INDEX job_ranges_pending ON :"schema".job_ranges (job_id, number) WHERE state = 'pending';
CREATE INDEX job_ranges_running ON :"schema".job_ranges (job_id, number) WHERE state = 'running';

COMMENT ON TABLE :"schema".jobs IS
    'Jobs that compare a bucket with the index; `subscriber jobs` lists and steers them.';
COMMENT ON COLUMN :"schema".jobs.concurrency IS
    'The most ranges that all workers together have in work at once.';
COMMENT ON COLUMN :"schema".jobs.tolerated_failures IS
    'The job fails when more ranges than this have failed; NULL: tolerated_percent of its ranges counts instead.';
COMMENT ON COLUMN :"schema".jobs.started_at IS
    'When a worker first took a range.';
COMMENT ON TABLE :"schema".job_ranges IS
    'The ranges of a job: the keys k with after < k <= upto, by bytes; without upto to the end.';
COMMENT ON COLUMN :"schema".job_ranges.position IS
    'The last key that is done; NULL before the first.';
COMMENT ON COLUMN :"schema".job_ranges.attempts IS
    'How often a worker took the range since its position last moved.';
COMMENT ON COLUMN :"schema".job_ranges.claims IS
    'How often a worker took the range at all; a worker with an older number no longer holds it.';
COMMENT ON COLUMN :"schema".job_ranges.lease_until IS
    'Until when the range belongs to its worker, by the clock of the database; the worker prolongs it.';
COMMENT ON COLUMN :"schema".job_ranges.moment IS
    'The Unix second of the listing service at which the present attempt began: its facts are ordered by it.';
COMMENT ON COLUMN :"schema".job_ranges.fresh IS
    'Keys that are too young to be judged.';
COMMENT ON COLUMN :"schema".job_ranges.bytes IS
    'Bytes of the objects that differ.';
COMMENT ON COLUMN :"schema".job_ranges.examples IS
    'The first keys that differ.';
