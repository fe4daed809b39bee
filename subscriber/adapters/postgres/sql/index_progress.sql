-- How far the build of an index by the session $1 is; no row if it builds none. Tuples count where blocks do not.

SELECT
    phase,
    CASE WHEN blocks_total > 0 THEN blocks_done ELSE tuples_done END,
    CASE WHEN blocks_total > 0 THEN blocks_total ELSE tuples_total END,
    nullif(current_locker_pid, 0)::integer
FROM pg_stat_progress_create_index
WHERE pid = $1
