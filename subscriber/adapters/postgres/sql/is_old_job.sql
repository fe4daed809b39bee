coalesce(job.finished_at < $2, false) AND NOT (
        -- The last one that tells how complete the index is of its bucket.
        job.state = 'succeeded' AND job.prefix = '' AND NOT EXISTS (
            SELECT FROM :"schema".jobs AS later
            WHERE later.bucket = job.bucket AND later.state = 'succeeded' AND later.prefix = ''
                AND (later.finished_at, later.job_id) > (job.finished_at, job.job_id)
                AND (later.kind IN ('backfill', 'reconcile') OR later.kind = job.kind)
        )
    )
