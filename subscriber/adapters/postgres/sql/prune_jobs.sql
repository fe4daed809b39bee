-- Reads the next $3 jobs after the job $1, in the order of their ids, at most a hundred, and deletes those among them that
-- ended before $2, with their ranges. A job that was redriven meanwhile stays, and so does the last one that compared a
-- whole bucket, or filled the index from an inventory of it: only it tells how complete the index is of the bucket.

WITH page AS MATERIALIZED (
    SELECT job_id, :is_old_job AS is_old
    FROM :"schema".jobs AS job
    WHERE job_id > $1::text::bigint
    ORDER BY job_id
    LIMIT least($3::bigint, 100)
), gone AS (
    DELETE FROM :"schema".jobs AS stored
    USING page
    WHERE stored.job_id = page.job_id AND page.is_old AND stored.finished_at < $2
    RETURNING 1
)
SELECT job_id::text, (SELECT count(*) FROM page) AS seen, (SELECT count(*) FROM gone) AS removed
FROM page
ORDER BY page.job_id DESC
LIMIT 1
