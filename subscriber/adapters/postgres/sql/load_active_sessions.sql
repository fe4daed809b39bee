-- How many sessions are on a processor or waiting for one: active, and waiting for nothing that PostgreSQL knows of.
--
-- Parallel and autovacuum workers have a row and a state of their own, so they count. This session does not, and
-- neither do rows that are hidden from us: they have no state, and nothing they wait for.

SELECT count(*)
FROM pg_stat_activity
WHERE state = 'active' AND wait_event IS NULL AND pid <> pg_backend_pid()
