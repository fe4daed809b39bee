"""All buckets of a server."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from testkit.s3 import errors
from testkit.s3.changing import ChangingBucket
from testkit.s3.contents import Contents
from testkit.s3.generated import GeneratedBucket, GeneratedPlan
from testkit.s3.listing import MAX_KEYS
from testkit.s3.live import LiveBucket
from testkit.workload.bucket import SimulatedBucket
from testkit.workload.load import LoadPlan

ACCOUNT_ID: Final = "000000000000"


class BucketSpec(msgspec.Struct, frozen=True):
    """A bucket to serve."""

    name: str
    generated: GeneratedPlan | None = None
    is_changing: bool = False
    """Whether objects may be changed (see ChangingBucket); only with `generated`."""
    load: LoadPlan | None = None
    """The contents of the bucket of this name after the whole history that the load generator sends with this plan:
    what an index must hold in the end. Without either plan the bucket has real contents and is empty."""
    page_size: int = MAX_KEYS
    """The most entries of a page; 1,000 at S3."""
    region: str = ""
    """Empty for the server's."""
    is_requester_paid: bool = False


class Bucket(msgspec.Struct):
    """A bucket that is served."""

    name: str
    region: str
    contents: Contents
    page_size: int = MAX_KEYS
    is_requester_paid: bool = False
    notification: bytes = b""
    """The configuration as it was put."""

    @property
    def live(self) -> LiveBucket:
        """The contents of a bucket that can be changed.

        Raises:
            errors.S3Error: the bucket is generated.
        """
        if isinstance(self.contents, LiveBucket):
            return self.contents
        raise errors.not_implemented("changes of a generated bucket")


class Buckets:
    """The buckets by name."""

    def __init__(self, region: str, clock: Callable[[], float]) -> None:
        self.region = region
        self.account_id = ACCOUNT_ID
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def find(self, name: str) -> Bucket:
        """A bucket.

        Raises:
            errors.S3Error: NoSuchBucket.
        """
        bucket = self._buckets.get(name)
        if bucket is None:
            raise errors.no_such_bucket(name)
        return bucket

    def create(self, name: str) -> None:
        """CreateBucket.

        Raises:
            errors.S3Error: BucketAlreadyOwnedByYou.
        """
        if name in self._buckets:
            message = "Your previous request to create the named bucket succeeded and you already own it."
            raise errors.S3Error(409, "BucketAlreadyOwnedByYou", message, BucketName=name)
        self.add(BucketSpec(name))

    def add_spec(self, encoded: bytes) -> None:
        """Serve a bucket that JSON describes; one of the same name is replaced."""
        self.add(msgspec.json.decode(encoded, type=BucketSpec))

    def add(self, spec: BucketSpec, simulated: SimulatedBucket | None = None) -> Bucket:
        """Serve a bucket; one of the same name is replaced.

        Args:
            spec: what it is.
            simulated: its contents, which may change at any time in this thread.

        Raises:
            errors.S3Error: NoSuchBucket, for a load that has no bucket of this name.
        """
        contents: Contents
        if spec.generated and spec.is_changing:
            contents = ChangingBucket(spec.generated, self._clock)
        elif spec.generated:
            contents = GeneratedBucket(spec.generated)
        else:
            contents = LiveBucket(simulated or _simulated(spec), self._clock)
        made = Bucket(spec.name, spec.region or self.region, contents, spec.page_size, spec.is_requester_paid)
        self._buckets[spec.name] = made
        return made


def _simulated(spec: BucketSpec) -> SimulatedBucket:
    if spec.load is None:
        return SimulatedBucket(spec.name, Random(spec.name))
    for bucket in spec.load.buckets():
        if bucket.name == spec.name:
            return bucket
    raise errors.no_such_bucket(spec.name)
