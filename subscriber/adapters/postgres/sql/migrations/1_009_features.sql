-- What an operator has switched on beside the index: each feature keeps tables of its own by triggers on the index.
--
-- The tables and functions of a feature come with a migration of their own and cost nothing while no trigger calls them.

CREATE TABLE :"schema".features (
    name       text COLLATE "C" PRIMARY KEY,
    options    jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'),
    enabled_at timestamptz NOT NULL DEFAULT now(),
    ready_at   timestamptz
);

COMMENT ON TABLE :"schema".features IS
    'The features that are switched on; `subscriber features` lists and switches them.';
COMMENT ON COLUMN :"schema".features.ready_at IS
    'Since when its answers are complete; NULL: what was there before it was enabled is still being read.';
