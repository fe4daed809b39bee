-- Adds pending ranges to the new job $1, numbered from 1 in the order of $2 and $3.

INSERT INTO :"schema".job_ranges (job_id, number, after, upto)
SELECT $1, given.number, given.after, given.upto
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS given (after, upto, number)
