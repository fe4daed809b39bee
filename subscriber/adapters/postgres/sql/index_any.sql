-- Whether bucket $1 has a row after the key $2, up to the key $3; a tombstone is one.

SELECT EXISTS (
    SELECT FROM :"schema".object_versions
    WHERE (bucket, key) > ($1::text, $2::text) AND (bucket, key) <= ($1::text, $3::text)
)
