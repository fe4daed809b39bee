"""Seeded lives of buckets: a random walk over everything that can be done to an object.

The same seed gives the same history on every machine. The walk is made of single steps that name what to do and
to which key, so that a property test may choose the steps itself.
"""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Final, Literal, TypeAlias, get_args

from testkit.workload.bucket import START, SimulatedBucket, Versioning

Action: TypeAlias = Literal[
    "put",
    "post",
    "copy",
    "multipart",
    "delete",
    "delete_version",
    "undelete",
    "expire",
    "expire_version",
    "enable_versioning",
    "suspend_versioning",
]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
_OBJECT_ACTIONS = ACTIONS[:9]
_WEIGHTS = (60, 2, 6, 6, 10, 4, 4, 4, 4)
"""How often each is chosen: uploads rule, as in a lake, but every way to vanish happens."""
_MAX_SIZE_BYTES = 5 * 1024**3


def perform(bucket: SimulatedBucket, action: Action, key: str, random: Random) -> None:
    """Does one thing to one key; what the bucket's state does not allow does nothing."""
    match action:
        case "put":
            bucket.put(key, random.randrange(_MAX_SIZE_BYTES))
        case "post":
            bucket.put(key, random.randrange(_MAX_SIZE_BYTES), event_name="ObjectCreated:Post")
        case "copy":
            bucket.put(key, random.randrange(_MAX_SIZE_BYTES), event_name="ObjectCreated:Copy")
        case "multipart":
            bucket.complete_multipart(key, random.randrange(_MAX_SIZE_BYTES), random.randint(1, 10_000))
        case "delete":
            bucket.delete(key)
        case "expire":
            bucket.expire(key)
        case "enable_versioning":
            bucket.enable_versioning()
        case "suspend_versioning":
            bucket.suspend_versioning()
        case _:
            _perform_on_version(bucket, action, key, random)


def _perform_on_version(bucket: SimulatedBucket, action: Action, key: str, random: Random) -> None:
    version_ids = bucket.version_ids(key)
    if not version_ids:
        return
    if action == "undelete" and not bucket.is_current(key):
        bucket.delete_version(key, version_ids[-1])
    elif action == "delete_version":
        bucket.delete_version(key, random.choice(version_ids))
    elif action == "expire_version" and len(version_ids) > 1:
        bucket.expire_version(key, version_ids[0])


def live(bucket: SimulatedBucket, random: Random, *, events: int, keys: int) -> None:
    """Lets `bucket` live until it has told `events` more events, on about `keys` keys."""
    goal = len(bucket.history) + events
    while len(bucket.history) < goal:
        action = random.choices(_OBJECT_ACTIONS, _WEIGHTS)[0]
        perform(bucket, action, lake_key(random.randrange(keys)), random)


def lake_key(number: int) -> str:
    """A key as lakes have them, with what needs encoding in it now and then."""
    odd = (" ", "+", "ü", "%20", "日本", "=")[number % 6] if number % 10 == 0 else ""
    return f"raw/table={number % 40:02}/dt=2026-08-{number % 28 + 1:02}/part-{number:06}{odd}.parquet"


def seeded_buckets(
    seed: int, *, events: int, keys: int, start: datetime = START, suffix: str = ""
) -> tuple[SimulatedBucket, ...]:
    """Three buckets, one of each kind, that share `events` between them: half of it unversioned.

    `suffix` is put behind their names, so that several lives can share one index.
    """
    random = Random(seed)
    plan: tuple[tuple[str, Versioning, float], ...] = (
        ("lake-raw", "unversioned", 0.5),
        ("lake-curated", "enabled", 0.35),
        ("lake-archive", "suspended", 0.15),
    )
    buckets = []
    for name, versioning, share in plan:
        # A bucket can only be suspended after it was versioned: its versions stay in the stacks.
        bucket = SimulatedBucket(name + suffix, random, versioning=versioning, start=start)
        if versioning == "suspended":
            bucket.enable_versioning()
            live(bucket, random, events=int(events * share) // 2, keys=max(1, int(keys * share)))
            bucket.suspend_versioning()
        remaining = int(events * share) - len(bucket.history)
        live(bucket, random, events=remaining, keys=max(1, int(keys * share)))
        buckets.append(bucket)
    return tuple(buckets)
