-- Which of the privileges $3 on the tables $2 of schema $1 this user lacks. A table that does not exist lacks none.

SELECT wanted.relation, wanted.privilege
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS wanted (relation, privilege, number)
JOIN pg_namespace ON nspname = $1
JOIN pg_class ON relnamespace = pg_namespace.oid AND relname = wanted.relation AND relkind IN ('r', 'p')
WHERE NOT has_table_privilege(pg_class.oid, wanted.privilege)
ORDER BY wanted.number
