-- The first $2 sessions that hold a lock on a table of schema $1, the oldest transaction first.

SELECT
    activity.pid,
    activity.application_name,
    activity.usename::text AS user_name,
    activity.query_start AT TIME ZONE 'UTC' AS query_start
FROM pg_stat_activity AS activity
WHERE activity.pid <> pg_backend_pid()
    AND EXISTS (
        SELECT FROM pg_locks
        JOIN pg_class ON pg_class.oid = pg_locks.relation
        JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
        WHERE pg_locks.pid = activity.pid
            AND pg_locks.granted
            AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND pg_namespace.nspname = $1
    )
ORDER BY activity.xact_start NULLS LAST, activity.pid
LIMIT $2
