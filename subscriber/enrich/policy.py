"""What follows a failure, when to pause, and what the bill allows. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from subscriber.flow.backoff import Backoff

ATTEMPTS_AT_MOST: Final = 8
"""With the delays below a version is given up after about an hour and a half of failures."""
REQUESTS_PER_VERSION: Final = 2
"""HeadObject and GetObjectTagging."""
DENIED_SECONDS: Final = 600.0
"""After so long a version is tried again that the credentials may not read."""

_DENIED_CODES: Final = frozenset({"AccessDenied", "AllAccessDisabled", "Http403"})
_DELAYS: Final = Backoff(first_seconds=60.0, max_seconds=3600.0, jitter=0.5)
_PAUSES: Final = Backoff(first_seconds=5.0, max_seconds=600.0, jitter=0.2)


class NextTry(NamedTuple):
    """What becomes of a version that failed."""

    seconds: float | None
    """Until it is due again; None: it is given up."""
    counts: bool
    """Whether it was one of the attempts that the version has."""


def is_denied(code: str) -> bool:
    """Whether the credentials lack a right: a fault of the set-up, and of no single version."""
    return code in _DENIED_CODES


def next_try(code: str, attempts: int, chance: float | None = None) -> NextTry:
    """What becomes of a version.

    Args:
        code: of S3's error.
        attempts: so far, this one included.
        chance: of the jitter, 0 … 1; drawn unless given.
    """
    if is_denied(code):
        return NextTry(DENIED_SECONDS, counts=False)
    if attempts >= ATTEMPTS_AT_MOST:
        return NextTry(None, counts=True)
    return NextTry(_DELAYS.delay_seconds(attempts, chance), counts=True)


def pause_seconds(denied_in_a_row: int, concurrency: int, chance: float | None = None) -> float:
    """How long to ask nothing, after so many denied versions without another outcome; 0: go on.

    A policy that forgets a right denies every version, and each request is billed: one try of each loop is enough.
    """
    if denied_in_a_row < concurrency:
        return 0.0
    return _PAUSES.delay_seconds(1 + denied_in_a_row - concurrency, chance)


def requests_allowed(dollars: float, price_per_million: float) -> int | None:
    """How many requests a bill pays for; None: any number.

    Args:
        dollars: of a month; 0: without a bound.
        price_per_million: USD of a million requests; 0: they are free.
    """
    if dollars == 0 or price_per_million == 0:
        return None
    return int(dollars / price_per_million * 1_000_000)


def cost_dollars(requests: int, price_per_million: float) -> float:
    """The bill for requests, in USD."""
    return requests * price_per_million / 1_000_000
