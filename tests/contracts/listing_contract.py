"""The tools of the contracts about listings: what a contract is, how one is observed, and common requests."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, TypeAlias
from xml.etree import ElementTree as ET

import msgspec

from testkit.s3.raw_client import ListedPage, RawS3, Reply, StorageError, error_code

VERSIONS: Final = {"versions": "", "encoding-type": "url"}
OBJECTS: Final = {"list-type": "2", "encoding-type": "url"}

Observe: TypeAlias = Callable[[RawS3, str], Any]


class Contract(msgspec.Struct, frozen=True):
    """What S3 does in one respect."""

    act: Observe
    """Acts on a bucket and returns what it saw."""
    expected: Any
    """What it sees at S3."""
    is_versioned: bool
    """Whether the bucket has versioning from the start."""

    def observe(self, s3: RawS3, bucket: str) -> Any:
        """What is seen in a new bucket of a server; a failure is a text."""
        s3.call("PUT", bucket)
        if self.is_versioned:
            set_versioning(s3, bucket, "Enabled")
        return attempt(lambda: self.act(s3, bucket))


def contract(expected: Any, *, is_versioned: bool = False) -> Callable[[Observe], Contract]:
    """Make a function a contract."""
    return lambda act: Contract(act, expected, is_versioned)


def contracts_of(*modules: ModuleType) -> dict[str, Contract]:
    """The contracts of these modules by name, in their order."""
    named = [named for module in modules for named in vars(module).items()]
    return {name: value for name, value in named if isinstance(value, Contract)}


def attempt(look: Callable[[], Any]) -> Any:
    """What is seen, or the failure."""
    try:
        return look()
    except StorageError as error:
        return f"{error.status} {error.code}".strip()
    except ET.ParseError:
        return "no XML"


def put(s3: RawS3, bucket: str, *keys: str) -> list[str]:
    """Put an object under each key; returns the version ids."""
    replies = [s3.call("PUT", f"{bucket}/{key}", body=key.encode()) for key in keys]
    return [reply.headers.get("x-amz-version-id", "") for reply in replies]


def set_versioning(s3: RawS3, bucket: str, status: str) -> None:
    """PutBucketVersioning."""
    body = f'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>{status}</Status>'
    s3.call("PUT", bucket, {"versioning": ""}, f"{body}</VersioningConfiguration>".encode())


def failure(reply: Reply) -> str:
    """Status and code of an error."""
    return f"{reply.status} {error_code(reply)}".strip()


def keys_of(page: ListedPage) -> list[str]:
    """The keys of a page in their order."""
    return [entry.key for entry in page.entries]
