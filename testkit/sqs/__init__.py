"""An SQS emulator for the demo, the tests and the load test.

It implements the JSON protocol of standard queues closely enough for the official clients, verifies signatures, and
uses little enough CPU to feed a fast consumer on the same machine. A request passes through, top to bottom:

    protocol.py          bytes to a request, a response to bytes
    service.py           signature, target, shape, operation
    signature.py         how SQS refuses what testkit/signature.py cannot verify
    operations.py        operations on messages           queue_operations.py   operations on queues
    polls.py             long polls that wait
    account.py           all queues, redrive
    store.py             one queue, without I/O           deadlines.py, message.py, backlog.py   its parts
    admin_operations.py  operations that the real service lacks: backlogs, faults.py, audit_log.py

`launch.py` starts it from Python, `python -m testkit.sqs` from a shell.
"""

from testkit.sqs.launch import QueueServer, local_queue_server

__all__ = ["QueueServer", "local_queue_server"]
