-- Where an idle worker asks the owner of a range to cut it.
--
-- Only the owner knows which keys it has in work beyond its position. So it makes the cut itself, with the commit of a page,
-- and only behind all of them: each key is done and counted in one range.

ALTER TABLE :"schema".job_ranges
    ADD COLUMN cut_at text COLLATE "C";

COMMENT ON COLUMN :"schema".job_ranges.cut_at IS
    'The key after which an idle worker wants to take the rest of the range; NULL: none does. The owner answers with its '
    'next page: the range ends there, or the wish is dropped.';
