-- Of bucket $1: up to which key to read next, from $2 and before $3, so that about $5 versions of today and $5 changes
-- since $4 are read at most; NULL: all that is left.

SELECT least(
    (
        SELECT key FROM :"schema".versions
        WHERE bucket = $1::text AND key >= $2::text AND key < $3::text
        ORDER BY key OFFSET $5::bigint LIMIT 1
    ),
    (
        SELECT key FROM :"schema".object_history
        WHERE bucket = $1::text AND key >= $2::text AND key < $3::text AND recorded_at > $4::timestamptz
        ORDER BY key OFFSET $5::bigint LIMIT 1
    )
)
