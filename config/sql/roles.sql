-- Three roles, so that an attacker who controls the daemon can neither drop the index nor read more than the daemon.
--
-- Run once per database, by a role that may create roles, before the first `subscriber migrate`:
--
--     psql -v schema=subscriber -v owner=subscriber_owner -v writer=subscriber_writer -v reader=subscriber_reader \
--          -v ON_ERROR_STOP=1 -f config/sql/roles.sql
--
-- The roles have no password yet: give them one with psql's \password, or on RDS: GRANT rds_iam TO the role.
-- Then `subscriber migrate` as the owner, grants.sql as the owner too, and `subscriber run` as the writer.

-- Owns schema and tables; used only for migrations and for `subscriber quarantine` and `subscriber prune`.
CREATE ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
-- The role of the daemon.
CREATE ROLE :"writer" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
-- A group for readers of the index.
CREATE ROLE :"reader" NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;

-- Creating a schema for another role requires membership in it, except for a superuser; RDS has none.
GRANT :"owner" TO CURRENT_USER;
CREATE SCHEMA :"schema" AUTHORIZATION :"owner";

-- Only for the load source active_sessions, which counts the sessions of other users too.
-- GRANT pg_read_all_stats TO :"writer";
