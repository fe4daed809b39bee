-- Whether this user can see the state of other users' sessions; without this role they look idle.

SELECT pg_has_role('pg_read_all_stats', 'USAGE')
