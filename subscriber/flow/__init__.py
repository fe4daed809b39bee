"""Mechanisms that the stages and the process share; they know messages and leases, but no stage.

channel.py               what connects two stages         wakeup.py      waiters in FIFO order, and a wake event
limiter.py               concurrent writes and permits    backoff.py     exponential backoff with jitter
leases.py                what the process may hold        release.py     returns messages to their queue
poll_order.py            which waiting queue polls first  shutdown.py    SIGTERM and SIGINT
visibility_extension.py  extends the leases               breaker.py     the database's health
"""
