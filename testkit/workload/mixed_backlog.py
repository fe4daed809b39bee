"""The mixed backlog: chapters of a few hundred messages, each the seeded life of three buckets of its own.

A chapter is short enough to be made in the moment in which its first message is asked for. It is told as
`shuffle.py` tells: out of order, some twice, in several envelopes, and with nonsense in between. Every chapter
is filled up to the same number of messages with further duplicates, so that an index leads to its message.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from operator import attrgetter
from random import Random
from typing import Final

from testkit.workload.bucket import ObjectRow, SimulatedBucket, VersionRow
from testkit.workload.random_walk import seeded_buckets
from testkit.workload.shuffle import UNDECODABLE, Telling, tellings

CHAPTER_MESSAGES: Final = 500
_CHAPTER_EVENTS = 400
_CHAPTER_KEYS = 130
_BY_KEY = attrgetter("bucket", "key", "version_id")


def telling(index: int) -> Telling:
    """The message with this index."""
    chapter, place = divmod(index, CHAPTER_MESSAGES)
    return _tellings(chapter)[place]


def versions(messages: int) -> Iterator[VersionRow]:
    """The rows that so many messages end in, in key order."""
    return iter(sorted((row for bucket in _buckets(messages) for row in bucket.expected_versions()), key=_BY_KEY))


def objects(messages: int) -> Iterator[ObjectRow]:
    """What the view then shows, in key order."""
    return iter(sorted((row for bucket in _buckets(messages) for row in bucket.expected_objects()), key=_BY_KEY))


def undecodable(messages: int) -> int:
    """How many of so many messages nobody can read."""
    return messages // CHAPTER_MESSAGES * len(UNDECODABLE)


def _buckets(messages: int) -> Iterator[SimulatedBucket]:
    """The truth behind whole chapters.

    Raises:
        ValueError: the last chapter would be told in part.
    """
    count, rest = divmod(messages, CHAPTER_MESSAGES)
    if rest:
        raise ValueError(
            f"mixed messages come in chapters of {CHAPTER_MESSAGES}: {messages} is none of their multiples"
        )
    return itertools.chain.from_iterable(_life(chapter) for chapter in range(count))


def _life(chapter: int) -> tuple[SimulatedBucket, ...]:
    return seeded_buckets(chapter, events=_CHAPTER_EVENTS, keys=_CHAPTER_KEYS, suffix=f"-{chapter:04}")


@functools.lru_cache(maxsize=2)
def _tellings(chapter: int) -> tuple[Telling, ...]:
    told = tellings(_life(chapter), Random(chapter))
    again = itertools.cycle([each for each in told if each.emission is not None])
    return tuple(told + list(itertools.islice(again, CHAPTER_MESSAGES - len(told))))
