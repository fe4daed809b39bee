"""Pools of entries from which the blocks of a generated bucket are made.

An entry of a pool lacks what differs between blocks: the prefix of its key, eight hex digits of key, version id and
ETag, and the day of its times. Bytes that UTF-8 never uses stand for them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from random import Random
from typing import Final

from testkit.s3.entries import NULL_VERSION, Entry, Form, rendered, shown
from testkit.s3.keys import HOSTILE_KEYS, MAX_KEY_BYTES, random_key

PREFIX: Final = b"\xf8"
STEM: Final = b"\xf9"
"""Eight hex digits, which make keys, version ids and ETags of a block differ from those of all others."""
DAY: Final = b"\xfa"
"""The day of all times of a block, as 2025-04-17."""

_STEM_TEXT: Final = STEM.decode("latin-1")
_DAY_TEXT: Final = DAY.decode("latin-1")
_LONGEST_TAIL: Final = MAX_KEY_BYTES - 40
"""A block's prefix takes less than 40 bytes."""
_CLASSES: Final = ("STANDARD", "STANDARD", "STANDARD", "INTELLIGENT_TIERING", "STANDARD_IA", "GLACIER")
_SECONDS_OF_A_DAY: Final = 86_400
_VERSION_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._"
_SINGLE_SHARE: Final = 0.7
_MARKER_SHARE: Final = 0.1
_NULL_SHARE: Final = 0.05


class Pool:
    """The entries of a pool, and their XML, rendered when it is first asked for."""

    def __init__(self, versions: list[Entry]) -> None:
        self._versions = versions
        self._current = [entry for entry in versions if entry.is_latest and not entry.is_marker]
        self.templates = functools.cache(self._render)
        self.starts = functools.cache(self._count)
        self.places = functools.cache(self._index)

    def entries(self, form: Form) -> list[Entry]:
        """The entries of a listing in order."""
        return self._versions if form.is_versions else self._current

    def _render(self, form: Form) -> list[bytes]:
        return [rendered(entry, PREFIX + _shown_tail(entry.key, form), form) for entry in self.entries(form)]

    def _index(self, form: Form) -> dict[tuple[bytes, str], int]:
        """The place of each entry by key and version id."""
        return {(entry.key, entry.version_id): place for place, entry in enumerate(self.entries(form))}

    def _count(self, form: Form) -> list[int]:
        """For each number of keys, how many entries the first keys have."""
        counts = [0]
        for entry in self._versions:
            if entry.is_latest:
                counts.append(counts[-1])
            counts[-1] += 1 if form.is_versions or (entry.is_latest and not entry.is_marker) else 0
        return counts


def make_pool(seed: int, keys: int, *, is_hostile: bool, is_versioned: bool, deep_versions: int) -> Pool:
    """A pool of so many keys.

    Args:
        seed: the same pool for the same seed.
        keys: how many.
        is_hostile: hostile keys instead of the names of parts of a data lake.
        is_versioned: several versions and delete markers, not one null version of each key.
        deep_versions: the versions of the key in the middle.
    """
    random = Random(seed)
    has_checksum = seed % 2 == 0
    tails = _hostile_tails(random, keys) if is_hostile else list(_lake_tails(random, keys))
    entries: list[Entry] = []
    for number, tail in enumerate(tails):
        if is_versioned:
            count = deep_versions if number == keys // 2 and deep_versions > 1 else _version_count(random)
            entries += _stack(random, tail, count, has_checksum=has_checksum)
        else:
            entries.append(_version(random, tail, NULL_VERSION, 0, has_checksum=has_checksum))
    return Pool(entries)


def _lake_tails(random: Random, keys: int) -> Iterator[bytes]:
    for number in range(keys):
        unique = f"{random.getrandbits(96):024x}"
        name = f"part-{number:05}-{_STEM_TEXT}-{unique[:4]}-4{unique[4:7]}-a{unique[7:10]}-{unique[10:22]}"
        yield f"{name}.c000.snappy.parquet".encode("latin-1")


def _hostile_tails(random: Random, keys: int) -> list[bytes]:
    tails = {key.encode() for key in HOSTILE_KEYS if len(key.encode()) <= _LONGEST_TAIL}
    while len(tails) < keys:
        tails.add(random_key(random).encode())
    return sorted(random.sample(sorted(tails), keys))


def _version_count(random: Random) -> int:
    if random.random() < _SINGLE_SHARE:
        return 1
    return random.choices((2, 3, 4, random.randint(5, 20)), (16, 8, 4, 1))[0]


def _stack(random: Random, tail: bytes, count: int, *, has_checksum: bool) -> Iterator[Entry]:
    """The versions of one key, the newest first; sometimes a delete marker, sometimes a null version at the end."""
    for age in range(count):
        is_oldest = age == count - 1
        version_id = NULL_VERSION if is_oldest and random.random() < _NULL_SHARE else _version_id(random)
        if not is_oldest and random.random() < _MARKER_SHARE:
            yield Entry(tail, version_id, is_marker=True, is_latest=age == 0, last_modified=_time(age))
        else:
            yield _version(random, tail, version_id, age, has_checksum=has_checksum)


def _version(random: Random, tail: bytes, version_id: str, age: int, *, has_checksum: bool) -> Entry:
    parts = "-17" if random.random() < 0.1 else ""
    return Entry(
        key=tail,
        version_id=version_id,
        is_marker=False,
        is_latest=age == 0,
        last_modified=_time(age),
        etag=f"{_STEM_TEXT}{random.getrandbits(96):024x}{parts}",
        size_bytes=random.randint(0, 1 << random.randint(0, 34)),
        storage_class=random.choice(_CLASSES),
        has_checksum=has_checksum,
    )


def _version_id(random: Random) -> str:
    return _STEM_TEXT + "".join(random.choices(_VERSION_ALPHABET, k=24))


def _time(age: int) -> str:
    """Each version is seven seconds older than the next one."""
    second = max(_SECONDS_OF_A_DAY - 1 - 7 * age, 0)
    return f"{_DAY_TEXT}T{second // 3_600:02}:{second // 60 % 60:02}:{second % 60:02}.000Z"


def _shown_tail(tail: bytes, form: Form) -> bytes:
    return STEM.join(shown(part, form) for part in tail.split(STEM))
