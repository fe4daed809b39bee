-- Commits a page of the range ($1, $2) that its claim $3 has done, and prolongs the lease by $4 seconds from now.
--
-- $5 is the last key done (NULL: none, the lease alone is prolonged), $6 the moment of the attempt, $7 to $14 are what the
-- page adds to the counters, $15 are further examples, of which $16 are kept in all. A page whose position stands already
-- was committed before, by a call whose answer was lost: it is not counted again. No row: the range belongs to another
-- worker or is done.
--
-- After a page that has written rows the commit does not wait for the disk (PostgreSQL, "Asynchronous Commit"): its rows are
-- there already, and the next commit that waits brings this one to the disk too. So a crash of the server loses the position
-- of one page at most.

UPDATE :"schema".job_ranges AS range
SET position = greatest(range.position, $5::text COLLATE "C"),
    attempts = CASE WHEN $5 IS NULL THEN range.attempts ELSE 0 END,
    moment = coalesce($6, range.moment),
    lease_until = clock_timestamp() + make_interval(secs => $4),
    listed = range.listed + (range.position IS DISTINCT FROM $5)::integer * $7::bigint,
    written = range.written + (range.position IS DISTINCT FROM $5)::integer * $8::bigint,
    missing = range.missing + (range.position IS DISTINCT FROM $5)::integer * $9::bigint,
    ghost = range.ghost + (range.position IS DISTINCT FROM $5)::integer * $10::bigint,
    stale = range.stale + (range.position IS DISTINCT FROM $5)::integer * $11::bigint,
    fresh = range.fresh + (range.position IS DISTINCT FROM $5)::integer * $12::bigint,
    requests = range.requests + (range.position IS DISTINCT FROM $5)::integer * $13::bigint,
    bytes = range.bytes + (range.position IS DISTINCT FROM $5)::integer * $14::bigint,
    examples = CASE
        WHEN range.position IS NOT DISTINCT FROM $5 OR $15::text = '[]' OR jsonb_array_length(range.examples) >= $16
            THEN range.examples
        ELSE jsonb_path_query_array(range.examples || $15::text::jsonb, '$[0 to $last]',
                                    jsonb_build_object('last', $16::integer - 1))
    END
FROM :"schema".jobs AS job, (
    SELECT set_config('synchronous_commit', CASE WHEN $8::bigint > 0 THEN 'off' ELSE current_setting('synchronous_commit') END, true)
        AS value
) AS waits
WHERE range.job_id = $1 AND range.number = $2 AND range.claims = $3 AND range.state = 'running'
    AND job.job_id = range.job_id AND waits.value IS NOT NULL
RETURNING range.upto, job.state, job.concurrency, range.cut_at IS NOT NULL AS is_cut_asked
