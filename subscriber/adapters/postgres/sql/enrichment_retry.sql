-- Makes all versions that were given up due again.

UPDATE :"schema".enrichment_queue
SET due_at = now(), attempts = 0, error = NULL
WHERE due_at IS NULL
