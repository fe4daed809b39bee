-- Switches the feature "usage" on: from here on every change of the index leaves a delta. What is there already is counted
-- by usage_rebuild.sql. The depth is an argument of the triggers, so that they need not look it up.

DO $$
DECLARE
    depth text := (SELECT options ->> 'depth' FROM :"schema".features WHERE name = 'usage');
BEGIN
    TRUNCATE :"schema".usage_totals, :"schema".usage_deltas, :"schema".usage_touched, :"schema".usage_adjustments,
        :"schema".usage_versioned_buckets;
    EXECUTE format(
        'CREATE TRIGGER usage_inserted AFTER INSERT ON %1$I.object_versions '
        'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION %1$I.usage_inserted(%2$L)',
        :'schema', depth
    );
    EXECUTE format(
        'CREATE TRIGGER usage_updated AFTER UPDATE ON %1$I.object_versions REFERENCING OLD TABLE AS old_rows '
        'NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION %1$I.usage_updated(%2$L)',
        :'schema', depth
    );
    EXECUTE format(
        'CREATE TRIGGER usage_deleted AFTER DELETE ON %1$I.object_versions '
        'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION %1$I.usage_deleted(%2$L)',
        :'schema', depth
    );
    CREATE TRIGGER usage_truncated AFTER TRUNCATE ON :"schema".object_versions
        FOR EACH STATEMENT EXECUTE FUNCTION :"schema".usage_truncated();
END
$$
