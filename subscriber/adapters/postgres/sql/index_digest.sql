-- The number of versions of bucket $1 after the key $2 and up to the key $3, at most $5, and the SHA-256 of their text.
--
-- The text of each version is key, version id, size and ETag, each followed by the separator $4, and a delete marker has "d"
-- in place of its size (subscriber/reconcile/page_digest.py makes the same of a listing). Each key's newest version comes
-- first, in the order of the view `objects`. Tombstones are left out, as a listing leaves them out.
--
-- `seconds` is how long this took, without planning: the Agg node computes it last, and each Execute begins a statement.

SELECT
    count(*) AS versions,
    sha256(convert_to(coalesce(string_agg(text, ''), ''), 'UTF8')) AS digest,
    extract(epoch FROM clock_timestamp() - statement_timestamp())::double precision AS seconds
FROM (
    SELECT
        key || $4::text || version_id || $4
        || CASE WHEN state = 'present' THEN coalesce(size_bytes::text, '') || $4 || coalesce(etag, '') ELSE 'd' || $4 END
        || $4 AS text
    FROM :"schema".object_versions
    WHERE (bucket, key) > ($1::text, $2::text) AND (bucket, key) <= ($1::text, $3::text) AND state <> 'removed'
    ORDER BY
        bucket, key,
        sequencer DESC, event_time DESC, (state <> 'present') DESC, state DESC,
        coalesce(etag, '') DESC, coalesce(size_bytes, -1) DESC, event_name DESC,
        version_id DESC
    LIMIT $5
) AS page
