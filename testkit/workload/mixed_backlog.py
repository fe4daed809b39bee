"""The mixed backlog: blocks of 500 messages, each with the seeded history of three buckets of its own.

A block is small enough to be generated when its first message is received. `shuffle.py` puts its events out of order,
with duplicates, in several envelopes, and adds undecodable bodies. Further duplicates fill every block up to the same
number of messages, so that the index of a message determines its block.
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
from testkit.workload.shuffle import UNDECODABLE, WorkloadMessage, shuffled_messages

BLOCK_MESSAGES: Final = 500
_BLOCK_EVENTS = 400
_BLOCK_KEYS = 130
_BY_KEY = attrgetter("bucket", "key", "version_id")


def message(index: int) -> WorkloadMessage:
    """The message with this index."""
    block, position = divmod(index, BLOCK_MESSAGES)
    return _block_messages(block)[position]


def versions(messages: int) -> Iterator[VersionRow]:
    """The expected rows of `object_versions` after this number of messages, in key order."""
    return iter(sorted((row for bucket in _buckets(messages) for row in bucket.expected_versions()), key=_BY_KEY))


def objects(messages: int) -> Iterator[ObjectRow]:
    """The expected rows of the view `objects` after this number of messages, in key order."""
    return iter(sorted((row for bucket in _buckets(messages) for row in bucket.expected_objects()), key=_BY_KEY))


def undecodable(messages: int) -> int:
    """How many of this number of messages cannot be decoded."""
    return messages // BLOCK_MESSAGES * len(UNDECODABLE)


def _buckets(messages: int) -> Iterator[SimulatedBucket]:
    """The buckets of all blocks.

    Raises:
        ValueError: the number of messages is not a multiple of BLOCK_MESSAGES.
    """
    count, rest = divmod(messages, BLOCK_MESSAGES)
    if rest:
        raise ValueError(f"mixed messages come in blocks of {BLOCK_MESSAGES}: {messages} is not a multiple")
    return itertools.chain.from_iterable(_buckets_of_block(block) for block in range(count))


def _buckets_of_block(block: int) -> tuple[SimulatedBucket, ...]:
    return seeded_buckets(block, events=_BLOCK_EVENTS, keys=_BLOCK_KEYS, suffix=f"-{block:04}")


@functools.lru_cache(maxsize=2)
def _block_messages(block: int) -> tuple[WorkloadMessage, ...]:
    messages = shuffled_messages(_buckets_of_block(block), Random(block))
    duplicates = itertools.cycle([each for each in messages if each.emission is not None])
    return tuple(messages + list(itertools.islice(duplicates, BLOCK_MESSAGES - len(messages))))
