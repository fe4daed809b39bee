-- Three roles, so that whoever takes over the daemon can neither drop the index nor read more than the daemon does.
--
-- Run once per database, by a role that may create roles, before the first `subscriber migrate`:
--
--     psql -v schema=subscriber -v owner=subscriber_owner -v writer=subscriber_writer -v reader=subscriber_reader \
--          -v ON_ERROR_STOP=1 -f config/sql/roles.sql
--
-- The roles have no password yet: give them one with psql's \password, or on RDS: GRANT rds_iam TO the role.
-- Then `subscriber migrate` as the owner, grants.sql as the owner too, and `subscriber run` as the writer.

-- Owns schema and tables, and is used for migrations alone.
CREATE ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
-- What the daemon runs as.
CREATE ROLE :"writer" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
-- A group for those who ask what exists.
CREATE ROLE :"reader" NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;

-- Who makes a schema for another role must belong to it, unless he is a superuser: RDS has none.
GRANT :"owner" TO CURRENT_USER;
CREATE SCHEMA :"schema" AUTHORIZATION :"owner";

-- Only for the load source active_sessions, which counts the sessions of others too. Not needed otherwise.
-- GRANT pg_read_all_stats TO :"writer";
