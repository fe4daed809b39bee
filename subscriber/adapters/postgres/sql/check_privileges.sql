-- The privileges $3 on the columns $4 of the tables $2 in schema $1 that this user lacks; a grant on the table or on the
-- column is sufficient. Tables and columns that do not exist are left out.

SELECT wanted.relation, wanted.privilege, wanted.attribute
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS wanted (relation, privilege, attribute, number)
JOIN pg_namespace ON nspname = $1
JOIN pg_class ON relnamespace = pg_namespace.oid AND relname = wanted.relation AND relkind IN ('r', 'p')
JOIN pg_attribute ON attrelid = pg_class.oid AND attname = wanted.attribute AND NOT attisdropped
WHERE NOT has_column_privilege(pg_class.oid, attnum, wanted.privilege)
ORDER BY wanted.number
