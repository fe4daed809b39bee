-- Flags the buckets that have versions.

INSERT INTO :"schema".usage_versioned_buckets (bucket)
SELECT DISTINCT bucket FROM :"schema".object_versions WHERE version_id <> ''
ON CONFLICT DO NOTHING
