-- Upserts one batch: one row per object version, applied only if it is newer than the stored row.
--
-- There is one parameter per column, so the statement is the same for any number of rows and is planned once. A text
-- column arrives as one text in which the separator $10 follows every value; splitting it gives one extra row, the only
-- one without a time.
-- ORDER BY makes all writers lock rows in the same order, which prevents deadlocks between them.
-- The comparison is the total order of events; no operand is NULL, because a NULL would mean "not newer".
-- A missing ETag and an empty one are equal in that order, hence both are stored as NULL.
-- The row count is the number of applied rows; unchanged and older rows do not count.
-- A newer content starts anew: of what storage facts said, only what is newer than this content stays.

:given_rows
:newer_rows
