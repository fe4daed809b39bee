-- Switches the feature "history" off and deletes what it has kept, with its partitions.

DO $$
DECLARE
    partition regclass;
BEGIN
    DROP TRIGGER IF EXISTS history_inserted ON :"schema".object_versions;
    DROP TRIGGER IF EXISTS history_updated ON :"schema".object_versions;
    DROP TRIGGER IF EXISTS history_deleted ON :"schema".object_versions;
    DROP TRIGGER IF EXISTS history_truncated ON :"schema".object_versions;
    FOR partition IN
        SELECT inhrelid::regclass FROM pg_inherits
        WHERE inhparent = format('%I.object_history', :'schema')::regclass
            AND inhrelid <> format('%I.object_history_rest', :'schema')::regclass
    LOOP
        EXECUTE format('DROP TABLE %s', partition);
    END LOOP;
    TRUNCATE :"schema".object_history;
END
$$
