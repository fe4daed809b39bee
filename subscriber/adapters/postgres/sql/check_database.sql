-- Facts about the server and the user's role, and the number of free connections.
--
-- Counting the connections of other users needs no privilege. The connections of a pooler are not counted here.

SELECT
    current_user::text AS user_name,
    current_setting('server_version_num')::integer AS version_number,
    current_setting('transaction_read_only') = 'on' AS is_read_only,
    pg_is_in_recovery() AS is_in_recovery,
    EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS has_schema,
    coalesce(
        (SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1), false
    ) AS may_use_schema,
    (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS connections_at_most,
    (
        current_setting('max_connections')::integer
        - current_setting('superuser_reserved_connections')::integer
        - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
    )::integer AS connections_free
