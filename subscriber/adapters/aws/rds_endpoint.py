"""What the name of a database's host says about the instance behind it. Pure."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import msgspec

EndpointKind: TypeAlias = Literal["instance", "writer", "reader", "custom", "proxy"]

_MARKS: tuple[tuple[str, EndpointKind], ...] = (
    ("cluster-ro-", "reader"),
    ("cluster-custom-", "custom"),
    ("cluster-", "writer"),
    ("proxy-", "proxy"),
)
"""What precedes the account's hash, the longer ones first (Aurora User Guide, "Amazon Aurora endpoint connections")."""

_RESOURCE_ID = re.compile(r"db-[A-Z0-9]{20,}")
"""A DbiResourceId, such as db-ABCDEFGHIJKLMNOPQRSTU1VW2X (Performance Insights API reference). A name that somebody
gave cannot look like it: RDS keeps names in lower case."""


class RdsEndpoint(msgspec.Struct, frozen=True):
    """A host of RDS or Aurora."""

    kind: EndpointKind
    name: str
    """Of the instance, the cluster or the proxy."""
    region: str


def rds_endpoint(host: str) -> RdsEndpoint | None:
    """The endpoint a host name is; None where it is none of RDS's, a name of somebody's own for one included.

    NAME.MARKHASH.REGION.rds.amazonaws.com; in China the region may stand behind the rds, and .cn is at the end.
    """
    match host.lower().rstrip(".").split("."):
        case (
            [name, mark, region, "rds", "amazonaws", "com"]
            | [name, mark, region, "rds", "amazonaws", "com", "cn"]
            | [name, mark, "rds", region, "amazonaws", "com", "cn"]
        ):
            return RdsEndpoint(_kind(mark), name, region)
        case _:
            return None


def _kind(mark: str) -> EndpointKind:
    return next((kind for prefix, kind in _MARKS if mark.startswith(prefix)), "instance")


def is_resource_id(instance_id: str) -> bool:
    """Whether an id is one that RDS gave (DbiResourceId), not a name that a person did."""
    return _RESOURCE_ID.fullmatch(instance_id) is not None
