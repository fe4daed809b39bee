"""Generated messages, which are made when they are received.

A load of millions of messages need not be sent or kept in memory: a queue with a backlog delivers its stored messages
first and then takes new ones from the backlog. A backlog may grow with time (messages per second), so its methods
take the current time.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

_ALLOWED_PACKAGES = ("benchmarks.", "testkit.", "tests.")


class Backlog(Protocol):
    """A source of message bodies for a queue."""

    def available(self, now: float, /) -> int:
        """How many bodies can be taken at this time (Unix seconds)."""

    def take(self, limit: int, now: float, /) -> Sequence[tuple[str, float]]:
        """At most `limit` bodies, each with the Unix seconds at which it counts as sent."""

    def next_arrival(self, now: float, /) -> float | None:
        """When the next body becomes available after now (Unix seconds); None if none will."""


class GeneratedBacklog:
    """A fixed number of bodies, all sent at one time, made by a function of their index.

    The function is deterministic: the index is the seed of its body.
    """

    def __init__(self, body: Callable[[int], str], count: int, sent_at: float) -> None:
        self._body = body
        self._count = count
        self._sent_at = sent_at
        self._taken = 0

    def available(self, _now: float) -> int:
        """How many bodies are left, whatever the time."""
        return self._count - self._taken

    def take(self, limit: int, _now: float) -> Sequence[tuple[str, float]]:
        """The next bodies by index."""
        first = self._taken
        self._taken = min(self._count, first + limit)
        return [(self._body(index), self._sent_at) for index in range(first, self._taken)]

    def next_arrival(self, _now: float) -> float | None:
        """None: all bodies are available from the start."""
        return None


def load_backlog(reference: str, arguments: Mapping[str, Any]) -> Backlog:
    """Call `module:function` with the arguments and return the backlog that it makes.

    Raises:
        ValueError: the reference is not of this form, or names a module outside our own packages.
        ImportError, AttributeError, TypeError: there is no such function, or it takes no such arguments.
    """
    module, _, function = reference.partition(":")
    if not function or not module.startswith(_ALLOWED_PACKAGES):
        message = f"{reference!r} is not module:function in one of {', '.join(_ALLOWED_PACKAGES)}"
        raise ValueError(message)
    return cast("Backlog", getattr(importlib.import_module(module), function)(**arguments))
