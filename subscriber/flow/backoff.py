"""How long to wait after failures, and which of many failures to log."""

from __future__ import annotations

import random

import msgspec

_DOUBLINGS_AT_MOST = 20
"""More would only make large numbers: no bound here is a million times its first delay."""


class Backoff(msgspec.Struct, frozen=True):
    """Exponential backoff with jitter: the bound doubles with every failure, and chance takes away a part of it.

    Jitter keeps workers that failed together from coming back together ("Exponential Backoff And Jitter", AWS
    Architecture Blog, 2015).
    """

    first_seconds: float
    """The bound after the first failure."""
    max_seconds: float
    """The bound that no delay exceeds."""
    jitter: float
    """The part of the bound that chance may take away: 0 none, 1 all of it ("full jitter")."""

    def delay_seconds(self, failures: int, chance: float | None = None) -> float:
        """Seconds to wait after `failures` failures in a row.

        Args:
            failures: from 1 on; 0 counts as 1.
            chance: 0 … 1, where 1 gives the whole bound; drawn at random unless given.
        """
        if chance is None:
            chance = random.random()  # noqa: S311 – jitter, not a secret
        doublings = min(max(failures, 1) - 1, _DOUBLINGS_AT_MOST)
        bound = min(self.max_seconds, self.first_seconds * (1 << doublings))
        return bound * (1 - self.jitter * (1 - chance))


ASKED_MORE_SECONDS_AT_MOST = 5.0
"""So much longer than our own delay we wait if a service asks for it; botocore's bound is the same."""


def delay_as_asked(own_seconds: float, asked_seconds: float) -> float:
    """Our own delay, or a longer one that a throttling service asks for (`x-amz-retry-after`), within the bound."""
    return max(own_seconds, min(asked_seconds, own_seconds + ASKED_MORE_SECONDS_AT_MOST))


def is_power_of_two(count: int) -> bool:
    """Whether `count` is 1, 2, 4, 8 …: logging only these failures keeps a long outage to few lines."""
    return count > 0 and count & (count - 1) == 0
