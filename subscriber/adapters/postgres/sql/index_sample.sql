-- Of the rows of bucket $3 whose key begins with $4 in $1 percent of the table's blocks, chosen by the seed $2: their number,
-- and the keys at the fractions $5 of their order.

SELECT count(*) AS versions, percentile_disc($5::double precision[]) WITHIN GROUP (ORDER BY key) AS keys
FROM :"schema".object_versions TABLESAMPLE SYSTEM ($1) REPEATABLE ($2)
WHERE bucket = $3 AND starts_with(key, $4)
