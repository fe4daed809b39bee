-- The backend process of this session and its start time.

SELECT pid, backend_start
FROM pg_stat_activity
WHERE pid = pg_backend_pid()
