-- As upsert.sql, for a batch of which some row says more than its content. Its own statement, because six more parameters
-- cost the others, nearly all, more than nothing.

:detailed_rows
:newer_rows
