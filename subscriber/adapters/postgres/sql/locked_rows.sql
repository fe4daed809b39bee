-- Which of these object versions another session holds a lock on that an upsert would wait for, writers like us apart.
--
-- $1 … $3 and the separator $4 are those of upsert.sql. Splitting them gives one extra row of empty texts, which no row
-- of the table matches, for a key is not empty.
-- An update of columns outside the key takes the lock FOR NO KEY UPDATE (PostgreSQL, "Row-Level Locks"): a row
-- that cannot be locked so at once is what the upsert would wait for. This statement's own locks end with it.
-- A writer of our own kind that waits for a locked row holds the rows before it meanwhile. It lets go at its timeout, so
-- its rows are not found: xmax is the transaction that locks or updates a row (PostgreSQL, "System Columns").
-- A row that another session has inserted and not committed is invisible, and hence not found.
-- A row that is deleted meanwhile may be found; the next upsert tells.

WITH writers AS MATERIALIZED (
    SELECT backend_xid AS id FROM pg_stat_activity
    WHERE usename = current_user AND application_name LIKE 'subscriber%' AND backend_xid IS NOT NULL
)
SELECT stored.bucket, stored.key, stored.version_id
FROM unnest(string_to_array($1, $4), string_to_array($2, $4), string_to_array($3, $4))
    AS given (bucket, key, version_id)
JOIN :"schema".object_versions AS stored USING (bucket, key, version_id)
WHERE NOT EXISTS (
    SELECT FROM :"schema".object_versions AS free
    WHERE (free.bucket, free.key, free.version_id) = (given.bucket, given.key, given.version_id)
    FOR NO KEY UPDATE SKIP LOCKED
)
AND NOT EXISTS (SELECT FROM writers WHERE writers.id = stored.xmax)
