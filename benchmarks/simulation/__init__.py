"""A simulated database, queue and fleet of writers, to compare concurrency controllers: an hour takes seconds.

    python -m benchmarks.simulation [SCENARIO …]

Each file states what it simulates: `database` (processor sharing with a knee), `backlog` (the queue), `sensor` (means
over windows that arrive late), `task` (one daemon: batches, limiter, regulator), `simulator` (clock and events).
`controllers` holds published controllers; `controller` defines their common interface and adapts our governor to it.
"""
