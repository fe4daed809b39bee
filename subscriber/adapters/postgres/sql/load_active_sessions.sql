-- The number of sessions that use a CPU or wait for one: active sessions without a wait event.
--
-- Parallel and autovacuum workers have rows of their own, so they count. This session does not count, nor do rows whose
-- details this user may not see: they have no state.

SELECT count(*)
FROM pg_stat_activity
WHERE state = 'active' AND wait_event IS NULL AND pid <> pg_backend_pid()
