-- Whether bucket $1 has a row after the key $2, up to the key $3; a tombstone is one.
--
-- The order makes PostgreSQL search in the primary key. EXISTS ignores it: on a table without statistics, as a first
-- backfill finds it, the planner then expects a matching row soon and reads the whole table where there is none.

SELECT count(*) > 0 FROM (
    SELECT FROM :"schema".object_versions
    WHERE (bucket, key) > ($1::text, $2::text) AND (bucket, key) <= ($1::text, $3::text)
    ORDER BY bucket, key
    LIMIT 1
) AS found
