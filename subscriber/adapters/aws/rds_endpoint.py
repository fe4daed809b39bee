"""Parses the host name of an RDS or Aurora endpoint. Pure."""

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
"""Prefixes of the account's hash, longer ones first (Aurora User Guide, "Amazon Aurora endpoint connections")."""

_RESOURCE_ID = re.compile(r"db-[A-Z0-9]{20,}")
"""A DbiResourceId, such as db-ABCDEFGHIJKLMNOPQRSTU1VW2X (Performance Insights API reference). An instance name never
matches, because RDS stores names in lower case."""


class RdsEndpoint(msgspec.Struct, frozen=True):
    """An endpoint of RDS or Aurora."""

    kind: EndpointKind
    name: str
    """The name of the instance, cluster or proxy."""
    region: str


def rds_endpoint(host: str) -> RdsEndpoint | None:
    """Parse a host name; None if it is not an RDS endpoint (a CNAME for one is not).

    The form is NAME.MARKHASH.REGION.rds.amazonaws.com; in China the region may follow `rds`, and `.cn` is at the end.
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
    """Whether `instance_id` is a DbiResourceId, which RDS assigns, and not an instance name."""
    return _RESOURCE_ID.fullmatch(instance_id) is not None
