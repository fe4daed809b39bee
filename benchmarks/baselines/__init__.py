"""Alternatives to the daemon that drain the same queue into the same table, and a baseline without a queue.

    manual_loop.py     the loop of the SDK tutorials: receive ten, store ten, delete ten
    lambda_model.py    a model of Lambda's event source mapping
    mq_bridge.py       mq-bridge, a ready-made bridge from queues to databases
    bulk_insert.py     the baseline: no queue, the same rows in bulk statements
    index_rows.py      shared: from a body to its rows, and from rows to the table
    service.py         shared: start, `ready`, SIGTERM

Those written here get every advantage that does not distort the comparison: the daemon's upsert, ten rows per statement
where tutorials often store one, and uvloop. They read native S3 bodies only, and do not handle bad ones.
"""
