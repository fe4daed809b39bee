-- The queue, exactly; the versions with metadata by PostgreSQL's estimate (-1: none yet); the requests of this month.

SELECT
    count(*) FILTER (WHERE due_at <= now()) AS due,
    count(*) FILTER (WHERE due_at > now()) AS later,
    count(*) FILTER (WHERE due_at IS NULL) AS given_up,
    min(queued_at) FILTER (WHERE due_at IS NOT NULL) AS oldest_queued_at,
    (SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass($1)) AS enriched_estimate,
    coalesce((
        SELECT requests
        FROM :"schema".enrichment_requests
        WHERE month = date_trunc('month', now() AT TIME ZONE 'UTC')::date
    ), 0) AS month_requests
FROM :"schema".enrichment_queue
