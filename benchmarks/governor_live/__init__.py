"""The governor on a real PostgreSQL that has one core and expensive rows, with a noisy neighbor.

A plain row costs so little CPU that, on one machine with the daemon, the database never reaches its ceiling. Here it
does: a trigram index and a trigger burn CPU for each row, PostgreSQL has one core, all other processes have the other
cores, and pgbench starts and stops as the noisy neighbor. The benchmark measures how the governor holds the ceiling.

    environment.py          database and SQS emulator       cpu_pinning.py, row_cost.py, noisy_neighbor.py  their parts
    timeline.py             samples, and actions at given seconds       control_api.py  the daemon's control API
    series.py               from samples to seconds         metrics.py  figures of a series
    run.py                  backlog, neighbor, fixed limit: `make bench SCENARIO=governor`
    delayed.py              the same with CloudWatch's late minutes     cloudwatch.py  serves them
    other_controllers.py    published controllers on the same limiter
"""
