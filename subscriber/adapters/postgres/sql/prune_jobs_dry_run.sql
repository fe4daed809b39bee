-- What prune_jobs.sql would delete: the same parameters and answer; it changes and locks nothing.

WITH page AS MATERIALIZED (
    SELECT job_id, :is_old_job AS is_old
    FROM :"schema".jobs AS job
    WHERE job_id > $1::text::bigint
    ORDER BY job_id
    LIMIT least($3::bigint, 100)
)
SELECT job_id::text, (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM page WHERE is_old) AS removed
FROM page
ORDER BY page.job_id DESC
LIMIT 1
