-- Switches the feature "history" on: from here on every change of the index is kept. Creating the triggers waits for all
-- transactions that write, so the answers are complete from the moment after it.

DO $$
BEGIN
    CREATE TRIGGER history_inserted AFTER INSERT ON :"schema".object_versions
        REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION :"schema".history_inserted();
    CREATE TRIGGER history_updated AFTER UPDATE ON :"schema".object_versions
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION :"schema".history_updated();
    CREATE TRIGGER history_deleted AFTER DELETE ON :"schema".object_versions
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION :"schema".history_deleted();
    CREATE TRIGGER history_truncated AFTER TRUNCATE ON :"schema".object_versions
        FOR EACH STATEMENT EXECUTE FUNCTION :"schema".history_truncated();
    UPDATE :"schema".features SET ready_at = clock_timestamp() WHERE name = 'history';
    PERFORM :"schema".tend_history(3);
END
$$
