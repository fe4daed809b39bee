-- The features that are switched on.

SELECT name, options::text, enabled_at, ready_at FROM :"schema".features ORDER BY name
