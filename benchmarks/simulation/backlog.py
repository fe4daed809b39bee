"""The simulated queue: messages arrive at a rate, and the oldest are taken first."""

from __future__ import annotations

from collections import deque

from subscriber.model import MESSAGES_PER_POLL
from subscriber.signals import send_times_that_show_lag


class Backlog:
    """Counts messages that arrived and were taken; ages are derived from when the counts were reached."""

    def __init__(self) -> None:
        self.arrived = 0.0
        self.taken = 0.0
        self.received_before = 0.0
        """So many of all messages, the oldest, have been received by another consumer before."""
        self.rate = 0.0
        """Arriving messages per second."""
        self._returned: deque[tuple[float, float]] = deque()
        """Counts and send times of messages that a killed task held, and that are visible again."""
        self._now = 0.0
        self._marks: deque[tuple[float, float]] = deque([(0.0, 0.0)])
        """Times and counts of arrivals; linear in between."""

    @property
    def waiting(self) -> float:
        """Visible messages."""
        return self.arrived - self.taken + sum(count for count, _ in self._returned)

    def advance(self, now: float) -> None:
        """Advances the time; messages arrive meanwhile."""
        self.arrived += self.rate * (now - self._now)
        self._now = now

    def mark(self) -> None:
        """Records the current count; call it every second, and when the rate changes."""
        self._marks.append((self._now, self.arrived))

    def add(self, messages: float, age_seconds: float) -> None:
        """Adds messages at once, with ages spread evenly up to `age_seconds`; visible messages get such ages too."""
        if age_seconds > 0:
            self._marks = deque([(self._now - age_seconds, self.taken)])
        else:
            self.mark()
        self.arrived += messages
        self.mark()

    def take(self, messages: float) -> None:
        """Takes the oldest messages."""
        while messages > 0 and self._returned:
            count, sent_at = self._returned.popleft()
            taken = min(count, messages)
            messages -= taken
            if count > taken:
                self._returned.appendleft((count - taken, sent_at))
        self.taken += messages

    def put_back(self, messages: float, sent_at: float) -> None:
        """Makes messages visible again that were sent at `sent_at`, before all others."""
        if messages > 0:
            self._returned.append((messages, sent_at))

    def shown_lag_seconds(self) -> float:
        """The lag that the next answer of a poll shows the daemon; 0: it shows none."""
        age = self.age_seconds()
        sent = [-age] * int(min(MESSAGES_PER_POLL, self.waiting))
        is_first = self.taken >= self.received_before and not self._returned
        first = sent if is_first else []
        shown = send_times_that_show_lag(first, sent, is_full=len(sent) == MESSAGES_PER_POLL)
        return 0.0 if shown is None else -shown[1]

    def age_seconds(self) -> float:
        """Age of the oldest visible message; 0: there is none."""
        if self._returned:
            return self._now - self._returned[0][1]
        if self.waiting < 1:
            return 0.0
        marks = self._marks
        while len(marks) > 1 and marks[1][1] <= self.taken:
            marks.popleft()
        begin, count = marks[0]
        end, later = marks[1] if len(marks) > 1 else (self._now, self.arrived)
        share = (self.taken - count) / (later - count) if later > count else 1.0
        return max(0.0, self._now - begin - (end - begin) * min(1.0, max(0.0, share)))
