-- Applies storage facts to rows that exist: one given row for each version, with one fact of each kind at most.
--
-- Text parameters are joined as in upsert.sql; the separator is $9, and the extra row has an empty key, which no row has. An
-- empty sequencer stands for no fact of that kind.
-- A fact counts if it is newer than the content of the row and than the fact that the row has (events/order.py). Hence any
-- order of contents and facts ends in the same row, once the row exists; a tombstone takes them, too, because an event of
-- a later content may still come.
-- The rows are locked in the order of the primary key, which prevents deadlocks between writers.

WITH given AS MATERIALIZED (
    SELECT *
    FROM unnest(
        string_to_array($1, $9), string_to_array($2, $9), string_to_array($3, $9), string_to_array($4, $9),
        string_to_array($5, $9), string_to_array($6, $9), string_to_array($7, $9), $8::timestamptz[]
    ) AS parameters (
        bucket, key, version_id, storage_sequencer, storage_class, access_tier, restore_sequencer, restored_until
    )
), locked AS MATERIALIZED (
    SELECT held.bucket, held.key, held.version_id
    FROM given
    JOIN :"schema".object_versions AS held
        ON held.bucket = given.bucket AND held.key = given.key AND held.version_id = given.version_id
    ORDER BY held.bucket, held.key, held.version_id
    FOR NO KEY UPDATE OF held
)
UPDATE :"schema".object_versions AS stored SET
    storage_class = CASE WHEN :is_newer_storage THEN given.storage_class ELSE stored.storage_class END,
    access_tier = CASE WHEN :is_newer_storage THEN nullif(given.access_tier, '') ELSE stored.access_tier END,
    storage_sequencer = CASE WHEN :is_newer_storage THEN given.storage_sequencer ELSE stored.storage_sequencer END,
    restored_until = CASE WHEN :is_newer_restore THEN given.restored_until ELSE stored.restored_until END,
    restore_sequencer = CASE WHEN :is_newer_restore THEN given.restore_sequencer ELSE stored.restore_sequencer END
FROM given
JOIN locked USING (bucket, key, version_id)
WHERE stored.bucket = given.bucket AND stored.key = given.key AND stored.version_id = given.version_id
    AND (:is_newer_storage OR :is_newer_restore)
