"""The real plant: a PostgreSQL held alone to one core, whose rows cost what rows cost in earnest, and a neighbor.

A plain row costs this daemon's database so little that it never reaches its ceiling on one machine together with the
daemon. Here it does: a trigram index and a trigger burn time for each row, PostgreSQL has one core and everybody else
the others, and pgbench comes and goes. What is measured is how the governor holds it.

    plant.py        the parts together          cores.py, burden.py, neighbor.py   what makes it one
    timeline.py     samples, and acts at their seconds                              hands.py   the control page
    curve.py        from samples to seconds     held.py   figures of a curve
    governed.py     flood, neighbor, fixed limit: `make bench SCENARIO=governor`
    delayed.py      the flood by minutes that come late; cloudwatch.py tells them
    laws.py         the published laws at the same limiter
"""
