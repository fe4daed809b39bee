-- Inserts rows of which the table has none; the parameters are those of upsert.sql, in the same order of keys.
--
-- A row that another writer has inserted meanwhile makes the whole statement fail with 23505 (unique_violation).

:given_rows
ORDER BY bucket COLLATE "C", key COLLATE "C", version_id COLLATE "C"
