-- What the server and the user's own role are, and how many connections there is room for.
--
-- Connections of others are counted without their content, which needs no right. A pooler's are not ours to count.

SELECT
    current_user::text AS user_name,
    current_setting('server_version_num')::integer AS version_number,
    current_setting('transaction_read_only') = 'on' AS is_read_only,
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
