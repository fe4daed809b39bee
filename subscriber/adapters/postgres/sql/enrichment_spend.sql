-- Adds $1 requests to this month's; how many the fleet has made in it.

INSERT INTO :"schema".enrichment_requests AS known (month, requests)
VALUES (date_trunc('month', now() AT TIME ZONE 'UTC')::date, $1)
ON CONFLICT (month) DO UPDATE SET requests = known.requests + EXCLUDED.requests
RETURNING requests
