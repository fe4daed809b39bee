-- Whether the state of other users' sessions is visible: without this role they look as if they did nothing.

SELECT pg_has_role('pg_read_all_stats', 'USAGE')
