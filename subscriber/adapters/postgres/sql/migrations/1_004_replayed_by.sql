-- Who had a quarantined message written after all, beside when.

ALTER TABLE :"schema".quarantined_messages ADD COLUMN replayed_by text COLLATE "C";

COMMENT ON COLUMN :"schema".quarantined_messages.replayed_by IS
    'Who replayed the message, as they called themselves.';
