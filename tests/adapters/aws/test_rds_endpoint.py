"""Parsing the host names of RDS and Aurora endpoints."""

from __future__ import annotations

import pytest

from subscriber.adapters.aws.rds_endpoint import RdsEndpoint, is_resource_id, rds_endpoint
from subscriber.adapters.load.instance_finder import endpoint_of

HASH = "c9akciq32rc9"


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [
        (f"lake-1.{HASH}.eu-west-1.rds.amazonaws.com", RdsEndpoint("instance", "lake-1", "eu-west-1")),
        (f"lake.cluster-{HASH}.eu-west-1.rds.amazonaws.com", RdsEndpoint("writer", "lake", "eu-west-1")),
        (f"lake.cluster-ro-{HASH}.eu-west-1.rds.amazonaws.com", RdsEndpoint("reader", "lake", "eu-west-1")),
        (f"some.cluster-custom-{HASH}.eu-west-1.rds.amazonaws.com", RdsEndpoint("custom", "some", "eu-west-1")),
        (f"front.proxy-{HASH}.us-gov-west-1.rds.amazonaws.com", RdsEndpoint("proxy", "front", "us-gov-west-1")),
        (f"LAKE.cluster-{HASH}.EU-WEST-1.rds.amazonaws.com.", RdsEndpoint("writer", "lake", "eu-west-1")),
        (f"lake-1.{HASH}.rds.cn-north-1.amazonaws.com.cn", RdsEndpoint("instance", "lake-1", "cn-north-1")),
        (f"lake-1.{HASH}.cn-north-1.rds.amazonaws.com.cn", RdsEndpoint("instance", "lake-1", "cn-north-1")),
        ("index.example", None),
        ("127.0.0.1", None),
        ("/var/run/postgresql", None),
        (f"lake.cluster-{HASH}.eu-west-1.rds.amazonaws.com.evil.example", None),
    ],
)
def test_host_names_are_parsed(host: str, endpoint: RdsEndpoint | None) -> None:
    """Every form of RDS and Aurora host names, and no other name."""
    assert rds_endpoint(host) == endpoint


@pytest.mark.parametrize(
    ("hosts", "name"),
    [
        (("127.0.0.1",), None),
        ((f"lake-1.{HASH}.eu-west-1.rds.amazonaws.com",), "lake-1"),
        ((f"lake-1.{HASH}.eu-west-1.rds.amazonaws.com", f"lake-2.{HASH}.eu-west-1.rds.amazonaws.com"), None),
        ((f"lake-1.{HASH}.eu-west-1.rds.amazonaws.com", f"lake.cluster-{HASH}.eu-west-1.rds.amazonaws.com"), "lake"),
    ],
)
def test_several_hosts_need_a_writer_endpoint(hosts: tuple[str, ...], name: str | None) -> None:
    """With two instances in the URL it is unknown which one is the writer."""
    endpoint = endpoint_of(hosts)
    assert (endpoint.name if endpoint else None) == name


@pytest.mark.parametrize(
    ("instance_id", "is_assigned_by_rds"),
    [("db-ABCDEFGHIJKLMNOPQRSTU1VW2X", True), ("db-production", False), ("lake-1", False)],
)
def test_a_resource_id_is_not_a_name(instance_id: str, *, is_assigned_by_rds: bool) -> None:
    """A name may begin with db- as well, but RDS stores it in lower case."""
    assert is_resource_id(instance_id) == is_assigned_by_rds
