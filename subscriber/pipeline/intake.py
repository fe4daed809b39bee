"""What the receive room knows of each queue, and how it decides: how many polls, and how long a pause. Pure."""

from __future__ import annotations

from subscriber.control.arrivals import Arrivals
from subscriber.flow.lease import POLL_MESSAGES
from subscriber.observe.metrics import Metrics, queue_name

NEARLY_EMPTY_MESSAGES = 3
"""An answer of so many or fewer says that there are too many polls; SQS samples its hosts, so five may be normal."""

FAILURE_PAUSE_FIRST_SECONDS = 0.2
FAILURE_PAUSE_AT_MOST_SECONDS = 20.0

FAILURES_THAT_TELL = 6
"""So many failures in a row, about six seconds with their pauses, and the queue counts as not answering."""


def polls_wanted(running: int, answered: int, at_most: int) -> int:
    """How many polls a queue should have after one of `running` brought `answered` messages."""
    if answered >= POLL_MESSAGES:
        return min(running + 1, at_most)
    if answered <= NEARLY_EMPTY_MESSAGES:
        return max(running - 1, 1)
    return running


def pause_after_failures(failures: int, chance: float) -> float:
    """Seconds before the next try after so many failures in a row (from 1): full jitter under a doubling bound."""
    bound = min(FAILURE_PAUSE_AT_MOST_SECONDS, FAILURE_PAUSE_FIRST_SECONDS * (1 << min(failures - 1, 20)))
    return bound * chance


class QueueIntake:
    """What receive knows of one queue; changed by its polls only."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        self.url = url
        self.label = queue_name(url)
        self.running = 0
        self.wanted = 1
        self.failures = 0
        self.arrivals = Arrivals()
        # Looked up once: a label's look-up costs as much as reading a message.
        self.received = metrics.received_messages.labels(self.label)
        requests = metrics.receive_requests
        self.answers = {answer: requests.labels(self.label, answer) for answer in ("full", "part", "empty")}

    @property
    def failures_in_a_row(self) -> int:
        """How often in a row receiving has failed: polls that fail together have failed once."""
        return -(-self.failures // max(1, self.running))
