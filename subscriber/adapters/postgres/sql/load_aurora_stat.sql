-- CPU usage of all Aurora backends together, and of the largest one, in percent.

SELECT coalesce(sum(cpu_usage_percent), 0)::float8 AS total, coalesce(max(cpu_usage_percent), 0)::float8 AS largest
FROM aurora_stat_resource_usage()
