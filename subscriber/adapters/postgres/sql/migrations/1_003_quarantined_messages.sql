-- Messages that could not become rows, stored byte for byte until somebody replays them.
--
-- The body is bytea because the type text cannot store NUL and lone surrogates (it is UTF-8 in which surrogates are
-- encoded like characters).

CREATE TABLE :"schema".quarantined_messages (
    queue          text COLLATE "C" NOT NULL,
    message_id     text COLLATE "C" NOT NULL,
    reason         text COLLATE "C" NOT NULL,
    detail         text COLLATE "C" NOT NULL,
    body           bytea NOT NULL,
    receive_count  integer NOT NULL CHECK (receive_count >= 0),
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    replayed_at    timestamptz,
    PRIMARY KEY (queue, message_id)
);

COMMENT ON TABLE :"schema".quarantined_messages IS
    'Messages that could not become rows. They are gone from the queue: this is the only copy.';
COMMENT ON COLUMN :"schema".quarantined_messages.replayed_at IS
    'When the message was decoded and written after all; NULL while it waits for somebody.';
