-- Switches the feature "enrichment" on: from here on new and changed versions are queued. What is there already is queued
-- by `subscriber enrich queue`. The filter becomes the arguments of the triggers, so that they need not look it up.

DO $$
DECLARE
    filter text := (
        SELECT format(
            '%L, %L, %L, %L, %L', coalesce(options ->> 'bucket', ''), coalesce(options ->> 'prefix', ''),
            coalesce(options ->> 'suffix', ''), coalesce(options ->> 'smallest_bytes', ''),
            coalesce(options ->> 'largest_bytes', '')
        )
        FROM :"schema".features
        WHERE name = 'enrichment'
    );
BEGIN
    EXECUTE format(
        'CREATE TRIGGER enrichment_inserted AFTER INSERT ON %1$I.object_versions '
        'REFERENCING NEW TABLE AS new_rows '
        'FOR EACH STATEMENT EXECUTE FUNCTION %1$I.enrichment_inserted(%2$s)', :'schema', filter
    );
    EXECUTE format(
        'CREATE TRIGGER enrichment_updated AFTER UPDATE ON %1$I.object_versions '
        'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
        'FOR EACH STATEMENT EXECUTE FUNCTION %1$I.enrichment_updated(%2$s)', :'schema', filter
    );
    CREATE TRIGGER enrichment_deleted AFTER DELETE ON :"schema".object_versions
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION :"schema".enrichment_deleted();
    CREATE TRIGGER enrichment_truncated AFTER TRUNCATE ON :"schema".object_versions
        FOR EACH STATEMENT EXECUTE FUNCTION :"schema".enrichment_truncated();
    UPDATE :"schema".features SET ready_at = now() WHERE name = 'enrichment';
END
$$
