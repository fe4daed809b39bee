"""An SQS-compatible queue server of our own, for the demo, tests and load.

It speaks the JSON protocol of standard queues closely enough that the official clients cannot tell the
difference in what they rely on, checks signatures for real, and costs little enough to feed a fast consumer
from the same machine. A request passes, top to bottom:

    protocol.py     bytes to a request, an answer to bytes
    service.py      signature, target, shape, operation
    signature.py    Signature Version 4
    operations.py   what is done with messages          queue_operations.py   … with queues
    polls.py        long polls that wait
    account.py      all queues, redrive
    store.py        one queue, pure                      deadlines.py, message.py, backlog.py   its parts
    lab_operations.py  what the real service does not know: backlogs, faults.py, audit_log.py

`launch.py` starts it from Python, `python -m testkit.sqs` from a shell.
"""

from testkit.sqs.launch import QueueServer, local_queue_server

__all__ = ["QueueServer", "local_queue_server"]
