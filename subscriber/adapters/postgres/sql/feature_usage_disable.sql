-- Switches the feature "usage" off and empties its tables.

DROP TRIGGER IF EXISTS usage_inserted ON :"schema".object_versions;
DROP TRIGGER IF EXISTS usage_updated ON :"schema".object_versions;
DROP TRIGGER IF EXISTS usage_deleted ON :"schema".object_versions;
DROP TRIGGER IF EXISTS usage_truncated ON :"schema".object_versions;
TRUNCATE :"schema".usage_totals, :"schema".usage_deltas, :"schema".usage_touched, :"schema".usage_adjustments,
    :"schema".usage_versioned_buckets;
