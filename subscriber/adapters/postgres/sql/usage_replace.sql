-- Puts what was counted in the place of the counters. What was noted of keys with versions stays: a transaction that ran
-- meanwhile may have changed them again, and the next folds look.

DELETE FROM :"schema".usage_totals;
INSERT INTO :"schema".usage_totals SELECT * FROM counted;
DELETE FROM :"schema".usage_deltas;
DELETE FROM :"schema".usage_adjustments;
INSERT INTO :"schema".usage_adjustments SELECT * FROM counted_adjustments;
UPDATE :"schema".features SET ready_at = coalesce(ready_at, clock_timestamp()) WHERE name = 'usage';
