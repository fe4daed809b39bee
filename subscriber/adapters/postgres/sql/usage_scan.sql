-- Counts the rows of a range of keys of bucket $1, from $2 to before $3.

SELECT
    (SELECT count(*) FROM :"schema".objects WHERE bucket = $1 AND key >= $2 AND key < $3),
    (SELECT coalesce(sum(size_bytes), 0) FROM :"schema".objects WHERE bucket = $1 AND key >= $2 AND key < $3),
    count(*) FILTER (WHERE state = 'present'), coalesce(sum(size_bytes) FILTER (WHERE state = 'present'), 0),
    count(*) FILTER (WHERE state = 'delete_marker')
FROM :"schema".versions
WHERE bucket = $1 AND key >= $2 AND key < $3
