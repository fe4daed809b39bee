"""A database, a queue and a fleet of writers in simulated time, to try laws of control on: an hour takes seconds.

    python -m benchmarks.simulation [SCENARIO …]

What is simulated is stated file by file: `database` (processor sharing with a knee), `backlog` (the queue), `sensor`
(means over windows that arrive late), `task` (one daemon: batches, limiter, regulator), `world` (the clock, and what
happens when). `laws` holds published laws of control, `policy` what they and our governor have in common.
"""
