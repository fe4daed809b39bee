"""Seeded bucket histories: a random walk over all operations on an object.

The same seed gives the same history on every machine. Each step is one action on one key, so that a property test can
choose the steps itself.
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
"""How often each action is chosen: mostly uploads, as in a data lake, but every kind of removal occurs."""
_MAX_SIZE_BYTES = 5 * 1024**3


def perform(bucket: SimulatedBucket, action: Action, key: str, random: Random) -> None:
    """Perform one action on one key; an action that the bucket's state does not allow has no effect."""
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


def random_walk(bucket: SimulatedBucket, random: Random, *, events: int, keys: int) -> None:
    """Perform random actions on about `keys` keys until `bucket` has emitted `events` more events."""
    goal = len(bucket.history) + events
    while len(bucket.history) < goal:
        action = random.choices(_OBJECT_ACTIONS, _WEIGHTS)[0]
        perform(bucket, action, lake_key(random.randrange(keys)), random)


def lake_key(number: int) -> str:
    """A key as in a data lake; one in ten has a character that needs encoding."""
    odd = (" ", "+", "ü", "%20", "日本", "=")[number % 6] if number % 10 == 0 else ""
    return f"raw/table={number % 40:02}/dt=2026-08-{number % 28 + 1:02}/part-{number:06}{odd}.parquet"


def seeded_buckets(
    seed: int, *, events: int, keys: int, start: datetime = START, suffix: str = ""
) -> tuple[SimulatedBucket, ...]:
    """Three buckets, one of each kind of versioning, with `events` events together: half of them unversioned.

    `suffix` is appended to their names, so that several sets of buckets can share one index.
    """
    random = Random(seed)
    plan: tuple[tuple[str, Versioning, float], ...] = (
        ("lake-raw", "unversioned", 0.5),
        ("lake-curated", "enabled", 0.35),
        ("lake-archive", "suspended", 0.15),
    )
    buckets = []
    for name, versioning, share in plan:
        # Only a versioned bucket can be suspended, so its first half creates versions, which remain.
        bucket = SimulatedBucket(name + suffix, random, versioning=versioning, start=start)
        if versioning == "suspended":
            bucket.enable_versioning()
            random_walk(bucket, random, events=int(events * share) // 2, keys=max(1, int(keys * share)))
            bucket.suspend_versioning()
        remaining = int(events * share) - len(bucket.history)
        random_walk(bucket, random, events=remaining, keys=max(1, int(keys * share)))
        buckets.append(bucket)
    return tuple(buckets)
