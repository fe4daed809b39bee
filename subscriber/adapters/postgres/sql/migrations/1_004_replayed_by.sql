-- Adds the user who replayed a quarantined message.

ALTER TABLE :"schema".quarantined_messages ADD COLUMN replayed_by text COLLATE "C";

COMMENT ON COLUMN :"schema".quarantined_messages.replayed_by IS
    'Who replayed the message, as they called themselves.';
