-- A login for one reader of the index: a person with psql, a BI tool, an application, or `subscriber search`.
--
-- Run after grants.sql, by a role that may create roles and is a member of the readers:
--
--     psql -v login=analyst -v reader=subscriber_reader -v ON_ERROR_STOP=1 -f config/sql/reader.sql
--
-- The login has no password yet: give it one with psql's \password, or on RDS: GRANT rds_iam TO the role. What follows are
-- defaults that a session may change: they protect from mistakes. What the login may read is decided by grants.sql alone.

CREATE ROLE :"login" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION IN ROLE :"reader";

ALTER ROLE :"login" SET default_transaction_read_only = on;
-- A forgotten query takes CPU that the daemon would use, and a forgotten transaction keeps vacuum from old rows.
ALTER ROLE :"login" SET statement_timeout = '60s';
ALTER ROLE :"login" SET idle_in_transaction_session_timeout = '60s';
-- A plan for any prefix, size or time cannot know whether an index helps.
ALTER ROLE :"login" SET plan_cache_mode = force_custom_plan;
