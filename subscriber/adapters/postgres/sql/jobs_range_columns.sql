-- The columns of a range, in the order of the fields of JobRange.
range.job_id, range.number, range.after, range.upto, range.position, range.state, range.attempts, range.claims,
range.worker, range.lease_until, range.moment, range.listed, range.written, range.missing, range.ghost, range.stale,
range.fresh, range.requests, range.bytes, range.examples::text AS examples, range.error, range.started_at,
range.finished_at, range.cut_at
