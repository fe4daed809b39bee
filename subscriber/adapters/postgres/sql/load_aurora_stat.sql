-- What all of Aurora's backends use of the processors, and the one that uses most.

SELECT coalesce(sum(cpu_usage_percent), 0)::float8 AS total, coalesce(max(cpu_usage_percent), 0)::float8 AS largest
FROM aurora_stat_resource_usage()
