"""What an operator may switch on beside the index: names, meaning, prices, options. Pure.

A feature keeps tables of its own by triggers on the index. Its tables and functions come with the migrations; the files
`feature_NAME_enable.sql` and `feature_NAME_disable.sql` create and drop its triggers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from subscriber.errors import ConfigurationError

FeatureState: TypeAlias = Literal["off", "counting", "on"]
"""`counting`: it is switched on, and what was there before is not read to the end yet; it gives no answers."""

Option: TypeAlias = int | str

DEPTH_AT_MOST: Final = 8
DEFAULT_DEPTH: Final = 2
DEFAULT_KEEP_DAYS: Final = 90
KEEP_DAYS_AT_MOST: Final = 36_500


class Feature(msgspec.Struct, frozen=True):
    """One feature of the catalog."""

    keeps: str
    """For the operator."""
    price: str
    """What a write of the daemon costs more."""


CATALOG: Final[Mapping[str, Feature]] = {
    "usage": Feature(
        "exact numbers of objects and bytes by bucket, folder and storage class: `subscriber count`, `subscriber du`",
        "about a sixth more CPU of the database for each row",
    ),
    "history": Feature(
        "each change, and what the object had been: `subscriber history`, `diff` and `search --as-of`",
        "about two thirds more CPU of the database for each row",
    ),
    "enrichment": Feature(
        "content type, user metadata, tags and more of each version: `subscriber search --where`",
        "about twice the CPU of the database for each row, and two requests to S3",
    ),
}


_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "usage": frozenset({"depth"}),
    "history": frozenset({"keep_days"}),
    "enrichment": frozenset({"bucket", "prefix", "suffix", "smallest_bytes", "largest_bytes"}),
}
_DEFAULTS: Final[Mapping[str, Mapping[str, Option]]] = {
    "usage": {"depth": DEFAULT_DEPTH},
    "history": {"keep_days": DEFAULT_KEEP_DAYS},
}


class EnabledFeature(msgspec.Struct, frozen=True):
    """One row of the table `features`."""

    name: str
    options: Mapping[str, Option]
    enabled_at: datetime
    ready_at: datetime | None
    """None: what was there before is not read to the end yet."""


class Usage(msgspec.Struct, frozen=True):
    """What lies below a prefix, or in a folder."""

    objects: int = 0
    """Keys whose latest version is no delete marker."""
    object_bytes: int = 0
    """Of those latest versions."""
    versions: int = 0
    """That exist, the latest ones included, delete markers not."""
    version_bytes: int = 0
    delete_markers: int = 0

    def plus(self, other: Usage) -> Usage:
        """The sum."""
        return Usage(*map(sum, zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)))


class UsageDifference(msgspec.Struct, frozen=True):
    """A folder whose counters were wrong."""

    bucket: str
    folder: str
    storage_class: str
    """Empty where neither an event nor a listing named it."""
    kept: Usage
    counted: Usage


def state_of(enabled: EnabledFeature | None) -> FeatureState:
    """The state of a feature by its row, if it has one."""
    if enabled is None:
        return "off"
    return "counting" if enabled.ready_at is None else "on"


def options_of(name: str, given: Mapping[str, Option | None]) -> dict[str, Option]:
    """The options of a feature that is switched on: those given that are not None, and its defaults.

    Raises:
        ConfigurationError: an option is of another feature.
    """
    chosen = {option: value for option, value in given.items() if value is not None}
    for option in chosen:
        if option not in _OPTIONS[name]:
            words = option.removesuffix("_bytes").replace("_", "-")
            raise ConfigurationError(f"--{words} is no option of the feature {name}")
    return {**_DEFAULTS.get(name, {}), **chosen}


def depth_of(folder: str) -> int:
    """How many folders deep a folder lies, which ends with a slash; 0 for a bucket."""
    return folder.count("/")


def is_counted(prefix: str, depth: int) -> bool:
    """Whether the counters tell exactly what begins with a prefix: a folder that they keep, or the bucket."""
    return not prefix or (prefix.endswith("/") and depth_of(prefix) <= depth)
