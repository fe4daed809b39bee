-- The exact usage of a bucket's folders that begin with the prefix $2, gathered to the depth $3.

SELECT
    :"schema".usage_folder(folder, $3::integer) AS folder, sum(objects)::bigint, sum(object_bytes)::numeric,
    sum(versions)::bigint, sum(version_bytes)::numeric, sum(delete_markers)::bigint
FROM :"schema".usage_of($1::text, $2::text)
GROUP BY 1
ORDER BY 1
