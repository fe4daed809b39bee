"""Lists a simulated bucket page by page, as ListObjectVersions and ListObjectsV2 do, while the bucket changes.

Each page shows the bucket as it is when the page is asked for (S3 user guide, "Amazon S3 data consistency model"); the
versions of a key come newest first. Between two pages anything may happen. Where a key's versions continue on the next
page, that page goes on after the last version shown. S3 does not say what it does if that is the null version and was
written anew meanwhile: either place occurs here, so versions may be shown twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from random import Random
from typing import TypeAlias

from subscriber.model import KeyRange, ListedVersion
from testkit.workload.bucket import NULL_VERSION, SimulatedBucket, Version

Between: TypeAlias = Callable[[], Awaitable[None]]


class BucketListing:
    """A Lister over a simulated bucket.

    Args:
        bucket: Is listed.
        random: Chooses the lengths of pages and the errors of clocks.
        between: Is awaited before each answer: whatever it does to the bucket happens between two pages.
        is_of_versions: False lists as ListObjectsV2 does: only current objects, without version ids.
        page_entries: The most entries of a page.
        clock_error_seconds: How far the clock of the `Date` may be off, either way.
    """

    def __init__(
        self,
        bucket: SimulatedBucket,
        random: Random,
        between: Between,
        *,
        is_of_versions: bool = True,
        page_entries: int = 3,
        clock_error_seconds: int = 5,
    ) -> None:
        self._bucket = bucket
        self._random = random
        self._between = between
        self._is_of_versions = is_of_versions
        self._page_entries = page_entries
        self._clock_error_seconds = clock_error_seconds

    async def server_time(self) -> int:
        """Unix second of the clock of one of the service's machines."""
        error = self._random.randint(-self._clock_error_seconds, self._clock_error_seconds)
        return int(self._bucket.now.timestamp()) + error

    async def pages(self, keys: KeyRange) -> AsyncIterator[Sequence[ListedVersion]]:
        """The pages of a range, each as of the time when it is asked for."""
        marker: tuple[str, Version | None] = (keys.after, None)
        while True:
            await self._between()
            entries = list(self._entries_after(marker, keys.upto))
            page = entries[: self._random.randint(1, self._page_entries)]
            if not page:
                return
            yield [listed_version(*entry, is_latest=self._is_latest(*entry)) for entry in page]
            if len(page) == len(entries):
                return
            marker = page[-1] if self._is_of_versions else (page[-1][0], None)

    def _entries_after(self, marker: tuple[str, Version | None], upto: str | None) -> Iterator[tuple[str, Version]]:
        after, shown = marker
        for key, stack in self._bucket.stacks().items():
            if key < after or (key == after and shown is None) or (upto is not None and key > upto):
                continue
            visible = stack if self._is_of_versions else [stack[-1]] * (not stack[-1].is_marker)
            number = self._number_of(shown, stack) if shown and key == after else None
            yield from ((key, version) for version in reversed(visible) if number is None or version.number < number)

    def _number_of(self, shown: Version, stack: Sequence[Version]) -> int:
        """The place in the stack after which the page goes on."""
        null = next((version for version in stack if version.version_id == NULL_VERSION), None)
        if shown.version_id == NULL_VERSION and null is not None and self._random.random() < 0.5:
            return null.number
        return shown.number

    def _is_latest(self, key: str, version: Version) -> bool:
        return self._bucket.stacks()[key][-1] is version


def listed_version(key: str, version: Version, *, is_latest: bool) -> ListedVersion:
    """A version as a listing shows it: neither size nor ETag of a delete marker."""
    return ListedVersion(
        key=key,
        version_id=version.version_id,
        is_marker=version.is_marker,
        is_latest=is_latest,
        last_modified=version.last_modified,
        size_bytes=None if version.is_marker else version.size_bytes,
        etag=None if version.is_marker else version.etag,
        storage_class=None if version.is_marker else "STANDARD",
    )
