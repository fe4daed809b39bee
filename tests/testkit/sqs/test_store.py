"""The queue without HTTP: every message is in exactly one state after any sequence of operations."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from testkit.sqs import errors
from testkit.sqs.account import Account
from testkit.sqs.attributes import QueueAttributes
from testkit.sqs.backlog import GeneratedBacklog, load_backlog
from testkit.sqs.deadlines import Deadlines
from testkit.sqs.message import StoredMessage
from testkit.sqs.store import Queue

pytestmark = pytest.mark.usefixtures("untraced")

MAX_RECEIVES = 2


class QueueMachine(RuleBasedStateMachine):
    """A queue and its dead-letter queue, compared with a model of each message's state and deadline."""

    handles = Bundle("handles")

    @initialize()
    def start(self) -> None:
        """Create two empty queues."""
        self.now = 1_000.0
        self.deleted: list[str] = []
        self.account = Account("http://sqs", on_delete=lambda _queue, message_id, _at: self.deleted.append(message_id))
        self.dead_letters = self.account.create("dead", {}, self.now)
        arn = self.account.describe(self.dead_letters, self.now)["QueueArn"]
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES}
        self.queue = self.account.create("live", {"RedrivePolicy": json.dumps(policy)}, self.now)
        self.states: dict[str, str] = {}
        self.deadlines: dict[str, float] = {}
        self.receives: dict[str, int] = {}
        self.newest: dict[str, str] = {}

    @rule(delay=st.integers(0, 3))
    def send(self, delay: int) -> None:
        """Send one message, delayed or not."""
        message_id = self.queue.send("body", self.now, delay_seconds=delay).message_id
        self.states[message_id] = "delayed" if delay else "visible"
        self.deadlines[message_id] = self.now + delay
        self.receives[message_id] = 0

    @rule(target=handles, limit=st.integers(1, 4), timeout=st.integers(0, 3))
    def receive(self, limit: int, timeout: int) -> object:
        """Receive some: only visible messages are delivered; those over maxReceiveCount move."""
        taken = self.queue.receive(limit, timeout, self.now)
        self.account.move_to_dead_letter_queue(self.queue, taken.dead)
        for letter in taken.dead:
            assert self.states[letter.message_id] == "visible"
            assert self.receives[letter.message_id] == MAX_RECEIVES
            self.states[letter.message_id] = "dead"
        given = []
        for message in taken.received:
            assert self.states[message.message_id] == "visible"
            self.receives[message.message_id] += 1
            assert message.receive_count == self.receives[message.message_id] <= MAX_RECEIVES
            self._set_invisible(message.message_id, timeout)
            self.newest[message.message_id] = self.queue.handle_of(message)
            given.append((message.message_id, self.queue.handle_of(message)))
        left = sum(state == "visible" for state in self.states.values())
        assert len(given) == limit or left == (len(given) if timeout == 0 else 0)
        return multiple(*given)

    @rule(given=consumes(handles))
    def delete(self, given: tuple[str, str]) -> None:
        """Delete by a current or an old handle."""
        message_id, handle = given
        self.queue.delete(handle, self.now)
        if self.newest[message_id] == handle and self.states[message_id] in {"visible", "in_flight"}:
            self.states[message_id] = "deleted"

    @rule(given=handles, timeout=st.integers(0, 4))
    def change_visibility(self, given: tuple[str, str], timeout: int) -> None:
        """Change visibility by a current or an old handle: only the current one of a message in flight succeeds."""
        message_id, handle = given
        is_held = self.newest[message_id] == handle and self.states[message_id] == "in_flight"
        try:
            self.queue.change_visibility(handle, timeout, self.now)
        except errors.RejectedError:
            assert not is_held
        else:
            assert is_held
            self._set_invisible(message_id, timeout)

    @rule(seconds=st.integers(1, 3))
    def pass_time(self, seconds: int) -> None:
        """Advance the time: messages whose deadline has passed become visible."""
        self.now += seconds
        for message_id, state in self.states.items():
            if state in {"delayed", "in_flight"} and self.deadlines[message_id] <= self.now:
                self.states[message_id] = "visible"

    @precondition(lambda self: len(self.states) >= 6)
    @rule()
    def purge(self) -> None:
        """Purge the queue, but only with several messages, so that some reach maxReceiveCount before."""
        self.queue.purge()
        for message_id, state in self.states.items():
            if state in {"delayed", "in_flight", "visible"}:
                self.states[message_id] = "purged"

    @invariant()
    def every_message_is_in_its_state(self) -> None:
        """The queue's counts and its messages agree with the model."""
        if not hasattr(self, "queue"):
            return
        counts = self.queue.counts(self.now)
        reported = {"visible": counts.visible, "in_flight": counts.in_flight, "delayed": counts.delayed}
        states = list(self.states.values())
        assert reported == {state: states.count(state) for state in reported}
        assert {message.message_id: message.state for message in self.queue.messages()} == {
            message_id: state for message_id, state in self.states.items() if state in reported
        }
        dead = {message.message_id for message in self.dead_letters.messages()}
        assert dead == {message_id for message_id, state in self.states.items() if state == "dead"}
        assert sorted(self.deleted) == sorted(m for m, state in self.states.items() if state == "deleted")

    @invariant()
    def the_next_change_is_the_earliest_deadline(self) -> None:
        """The queue reports when a message becomes visible next."""
        if not hasattr(self, "queue"):
            return
        self.queue.advance(self.now)
        pending = [self.deadlines[m] for m, state in self.states.items() if state in {"delayed", "in_flight"}]
        assert self.queue.next_change(self.now) == min(pending, default=None)

    def _set_invisible(self, message_id: str, timeout: int) -> None:
        self.states[message_id] = "in_flight" if timeout else "visible"
        self.deadlines[message_id] = self.now + timeout


QueueMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
test_every_message_is_in_exactly_one_state = QueueMachine.TestCase


def test_in_flight_messages_are_limited() -> None:
    """A queue delivers no more messages than the in-flight limit, and more after a delete."""
    queue = Queue("q", QueueAttributes(), in_flight_limit=3)
    for _ in range(5):
        queue.send("a", 0.0)
    first = queue.receive(10, 30, 0.0).received
    assert len(first) == 3
    assert queue.is_over_limit(0.0)
    assert not queue.has_visible(0.0)
    assert queue.receive(10, 30, 0.0).received == []
    queue.delete(queue.handle_of(first[0]), 0.0)
    assert len(queue.receive(10, 30, 0.0).received) == 1


def test_void_entries_are_bounded() -> None:
    """The number of kept entries stays bounded, however many messages are deleted before their deadline."""
    deadlines = Deadlines("in_flight")
    held = StoredMessage(0, "held", "", "", "0")
    deadlines.add(held, 1.0)
    for number in range(1, 20_000):
        message = StoredMessage(number, "", "", "", "0")
        deadlines.add(message, 1e9 - number % 7)
        deadlines.remove(message)
    assert len(deadlines) == 1
    assert len(deadlines._in_order) + len(deadlines._early) < 2_100
    assert list(deadlines.due(math.inf)) == [held]
    assert deadlines.next() is None


def test_backlog_messages_follow_the_stored_ones() -> None:
    """A queue's backlog counts as visible, follows the stored messages, and has its own send time."""
    queue = Queue("q", QueueAttributes())
    queue.send("stored", 10.0)
    queue.backlog = GeneratedBacklog(str, 3, sent_at=5.0)
    assert queue.counts(10.0).visible == 4
    received = [message for _ in range(2) for message in queue.receive(2, 30, 10.0).received]
    assert [(message.body, message.sent_at) for message in received] == [
        ("stored", "10000"),
        ("0", "5000"),
        ("1", "5000"),
        ("2", "5000"),
    ]
    assert queue.counts(10.0).visible == 0
    assert queue.next_change(10.0) == 40.0


@pytest.mark.parametrize("reference", ["os:system", "tests", "tests.contracts:", ":x"])
def test_a_backlog_comes_from_our_own_packages(reference: str) -> None:
    """An AttachBacklog request cannot call a function outside the project."""
    with pytest.raises(ValueError, match="module:function"):
        load_backlog(reference, {})


def test_a_postponed_message_can_be_deleted_by_its_earlier_receive() -> None:
    """Its last handle is valid in every state; after the delete the message never comes back."""
    account = Account("http://sqs")
    queue = account.create("live", {}, 0.0)
    queue.send("body", 0.0)
    (message,) = queue.receive(1, 1, 0.0).received
    handle = queue.handle_of(message)
    (again,) = queue.receive(1, 30, 1.0).received
    queue.postpone(again, 3.0)
    queue.delete(handle, 2.0)
    counts = queue.counts(2.0)
    assert (counts.visible, counts.in_flight, counts.delayed) == (0, 0, 0)
    assert queue.receive(1, 30, 4.0).received == []
