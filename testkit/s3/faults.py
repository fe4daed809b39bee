"""What the server gets wrong on purpose: the next requests of an operation fail in one of S3's ways, or a network's."""

from __future__ import annotations

from collections import Counter
from typing import Literal, TypeAlias

import msgspec

FaultKind: TypeAlias = Literal[
    "slow_down",
    "internal_error",
    "access_denied",
    "error_in_200",
    "truncated",
    "cut_xml",
    "lost",
    "slow_body",
    "delay",
    "empty_page",
]


class Fault(msgspec.Struct, frozen=True):
    """Some requests in a row that go wrong."""

    kind: FaultKind
    """`slow_down` answers 503, `internal_error` 500, `access_denied` 403. `error_in_200` sends InternalError with
    status 200. `truncated` closes the connection in the middle of the body; `cut_xml` ends the body there as if whole;
    `lost` closes the connection without an answer. `slow_body` sends the body in ten parts within `seconds`; `delay`
    waits `seconds` before a correct answer. `empty_page` answers ListObjectsV2 with a page that has no entries and is
    not the last one."""
    requests: int = 1
    operation: str = ""
    """Only requests of this operation (`ListObjectVersions`); empty for all."""
    seconds: float = 0.0
    skip: int = 0
    """How many requests of the operation succeed before."""
    retry_after_seconds: int | None = None
    """With `slow_down`: the header Retry-After."""


class Faults:
    """The faults that are still to come."""

    def __init__(self) -> None:
        self._pending: list[Fault] = []

    def add(self, faults: list[Fault]) -> None:
        """Append faults; those of one operation happen one after the other."""
        self._pending += faults

    def clear(self) -> None:
        """Forget what has not happened yet."""
        self._pending.clear()

    def take(self, operation: str) -> Fault | None:
        """The fault of this request, if any."""
        for index, fault in enumerate(self._pending):
            if fault.operation in ("", operation):
                return self._use(index, fault)
        return None

    def _use(self, index: int, fault: Fault) -> Fault | None:
        if fault.skip:
            self._pending[index] = msgspec.structs.replace(fault, skip=fault.skip - 1)
            return None
        if fault.requests > 1:
            self._pending[index] = msgspec.structs.replace(fault, requests=fault.requests - 1)
        else:
            del self._pending[index]
        return fault


class Counts(msgspec.Struct, frozen=True):
    """What the server has done since it started."""

    requests: dict[str, int]
    """By operation, failed ones too."""
    body_bytes: int
    """Bytes of the bodies of answers."""
    cpu_seconds: float
    """CPU time of the server's process."""


class Tally:
    """Counts requests and bytes."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.body_bytes = 0
