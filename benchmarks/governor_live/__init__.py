"""The real plant: a PostgreSQL held alone to one core, whose rows cost what rows cost in earnest, and a neighbor.

A plain row costs this daemon's database so little that it never reaches its ceiling on one machine together with the
daemon. Here it does: a trigram index and a trigger burn time for each row, PostgreSQL has one core and everybody else
the others, and pgbench comes and goes. What is measured is how the governor holds it.

    environment.py        the parts together          cpu_pinning.py, row_cost.py, noisy_neighbor.py   what makes it one
    timeline.py     samples, and acts at their seconds                              control_api.py   the control page
    series.py        from samples to seconds     metrics.py   figures of a curve
    run.py     flood, neighbor, fixed limit: `make bench SCENARIO=governor`
    delayed.py      the flood by minutes that come late; cloudwatch.py tells them
    other_controllers.py         the published laws at the same limiter
"""
