"""Which instance of RDS the database is, and how many processors it has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import msgspec
import pytest
import structlog

from subscriber.adapters.aws.calls import AwsCallError, AwsCalls
from subscriber.adapters.load import instance_finder
from subscriber.adapters.load.instance_facts import InstanceFacts, vcpus_by_name
from subscriber.adapters.load.instance_finder import InstanceFinder
from subscriber.adapters.load.sensor import SensorOptions
from subscriber.errors import SensorError
from testkit.aws.aws_services import AwsServices, Fault
from tests.adapters.load.answers import RESOURCE_ID, cluster, instance

LAKE_1 = InstanceFacts("lake-1", RESOURCE_ID, "db.r6g.large", cluster="lake", has_performance_insights=True)
ENDPOINT = "c9akciq32rc9.eu-west-1.rds.amazonaws.com"


Finding: TypeAlias = Callable[..., InstanceFinder]


@pytest.fixture
async def finder(aws_options: SensorOptions) -> AsyncIterator[Finding]:
    """A way to make finders for the cluster, or for options changed from that."""
    calls = AwsCalls("eu-west-1")
    yield lambda **changes: InstanceFinder(msgspec.structs.replace(aws_options, **changes), calls)
    await calls.close()


async def test_the_writer_of_a_cluster_is_found(services: AwsServices, finder: Finding) -> None:
    """The cluster says who writes, RDS who that is; and it is not asked again for a while."""
    services.answer("rds", "DescribeDBClusters", cluster("lake-1"))
    services.answer("rds", "DescribeDBInstances", instance("lake-1"))
    found = finder()
    assert [await found.facts(), await found.facts()] == [LAKE_1, LAKE_1]
    assert services.asked("rds", "DescribeDBClusters") == [{"DBClusterIdentifier": "lake"}]
    assert services.asked("rds", "DescribeDBInstances") == [{"DBInstanceIdentifier": "lake-1"}]


async def test_a_failover_is_followed(services: AwsServices, finder: Finding, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its time has come the cluster is asked for its writer again."""
    services.answer("rds", "DescribeDBClusters", cluster("lake-1"))
    services.answer("rds", "DescribeDBInstances", lambda asked: instance(asked["DBInstanceIdentifier"]))
    found = finder()
    monkeypatch.setattr(instance_finder, "WRITER_SECONDS", 0.0)
    assert (await found.facts()).identifier == "lake-1"
    services.answer("rds", "DescribeDBClusters", cluster("lake-2"))
    assert (await found.facts()).identifier == "lake-2"


async def test_facts_are_kept_while_rds_fails(
    services: AwsServices, finder: Finding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look-up that is throttled costs one line of the log, however often; after five minutes it is a failure."""
    services.answer("rds", "DescribeDBClusters", cluster())
    services.answer("rds", "DescribeDBInstances", instance())
    found = finder()
    monkeypatch.setattr(instance_finder, "WRITER_SECONDS", 0.0)
    await found.facts()
    services.answer("rds", "DescribeDBClusters", Fault("Throttling", 400, "Rate exceeded"))
    with structlog.testing.capture_logs() as lines:
        assert [await found.facts(), await found.facts()] == [LAKE_1, LAKE_1]
    detail = "rds:DescribeDBClusters failed: Throttling: Rate exceeded"
    assert lines == [{"event": "instance.lookup_failed", "log_level": "warning", "detail": detail}]
    monkeypatch.setattr(instance_finder, "KEPT_SECONDS", -1.0)
    with pytest.raises(AwsCallError, match="Throttling"):
        await found.facts()


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"hosts": (f"lake-1.{ENDPOINT}",)}, {"DBInstanceIdentifier": "lake-1"}),
        ({"instance_id": "lake-1"}, {"DBInstanceIdentifier": "lake-1"}),
        ({"instance_id": RESOURCE_ID}, {"Filters": [{"Name": "dbi-resource-id", "Values": [RESOURCE_ID]}]}),
    ],
    ids=["by the host", "by name", "by resource id"],
)
async def test_an_instance_is_found_without_its_cluster(
    services: AwsServices, finder: Finding, changes: dict[str, object], asked: dict[str, object]
) -> None:
    """A host of its own or a given id is enough, and nothing else is asked."""
    services.answer("rds", "DescribeDBInstances", instance())
    assert await finder(**changes).facts() == LAKE_1
    assert [each.parameters for each in services.requests] == [asked]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hosts": (f"lake.proxy-{ENDPOINT}",)}, "behind the proxy endpoint lake cannot be told"),
        ({"hosts": (f"lake.cluster-ro-{ENDPOINT}",)}, "behind the reader endpoint lake cannot be told"),
        ({"hosts": ("index.example",)}, "names no instance of RDS: set SUBSCRIBER_DATABASE_INSTANCE_ID"),
        ({}, "rds:DescribeDBClusters failed: AccessDenied: .* .the role needs rds:DescribeDBClusters."),
    ],
)
async def test_what_cannot_be_found_is_said(
    services: AwsServices, finder: Finding, changes: dict[str, object], sentence: str
) -> None:
    """One sentence, and what to do about it."""
    with pytest.raises(SensorError, match=sentence):
        await finder(**changes).facts()


async def test_a_missing_instance_or_writer_is_said(services: AwsServices, finder: Finding) -> None:
    """The account may not have it, or the cluster be in the middle of a failover."""
    services.answer("rds", "DescribeDBClusters", cluster(None))
    with pytest.raises(SensorError, match="cluster lake has no writer at this moment"):
        await finder().facts()
    services.answer("rds", "DescribeDBInstances", {"DBInstances": []})
    with pytest.raises(SensorError, match="RDS knows no instance db-ABC"):
        await finder(instance_id=RESOURCE_ID).facts()
    services.answer("rds", "DescribeDBInstances", Fault("DBInstanceNotFound", 404, "DBInstance nope not found."))
    with pytest.raises(SensorError, match="DBInstanceNotFound: DBInstance nope not found"):
        await finder(instance_id="nope").facts()


async def test_a_serverless_instance_is_known_with_its_range(services: AwsServices, finder: Finding) -> None:
    """The cluster says how far its capacity may grow; where that is not ours to ask it is one line of the log."""
    capacity = {"MinCapacity": 0.5, "MaxCapacity": 64.0}
    services.answer("rds", "DescribeDBClusters", cluster(ServerlessV2ScalingConfiguration=capacity))
    services.answer("rds", "DescribeDBInstances", instance(instance_class="db.serverless"))
    facts = await finder(instance_id="lake-1").facts()
    assert (facts.is_serverless, facts.max_capacity_units) == (True, 64.0)
    services.answer("rds", "DescribeDBClusters", Fault.denied("rds:DescribeDBClusters"))
    with structlog.testing.capture_logs() as lines:
        facts = await finder(instance_id="lake-1").facts()
    assert (facts.is_serverless, facts.max_capacity_units) == (True, None)
    assert [line["event"] for line in lines] == ["instance.partially_known", "instance.found"]


async def test_vcpus_are_asked_of_ec2(services: AwsServices, finder: Finding) -> None:
    """EC2 knows the type that the class is named after; it is asked once."""
    services.answer("rds", "DescribeDBInstances", instance(instance_class="db.r9x.large"))
    types = {"InstanceTypes": [{"InstanceType": "r9x.large", "VCpuInfo": {"DefaultVCpus": 3}}]}
    services.answer("ec2", "DescribeInstanceTypes", types)
    found = finder(instance_id="lake-1")
    assert [await found.vcpus(), await found.vcpus()] == [3.0, 3.0]
    assert services.asked("ec2", "DescribeInstanceTypes") == [{"InstanceTypes": ["r9x.large"]}]


async def test_vcpus_follow_the_writer(services: AwsServices, finder: Finding, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failover may lead to an instance of another size."""
    classes = {"lake-1": "db.r6g.large", "lake-2": "db.r6g.4xlarge"}
    services.answer(
        "rds",
        "DescribeDBInstances",
        lambda asked: instance(asked["DBInstanceIdentifier"], instance_class=classes[asked["DBInstanceIdentifier"]]),
    )
    monkeypatch.setattr(instance_finder, "WRITER_SECONDS", 0.0)
    found, counted = finder(), []
    for writer in ("lake-1", "lake-2"):
        services.answer("rds", "DescribeDBClusters", cluster(writer))
        counted.append(await found.vcpus())
    assert counted == [2.0, 16.0]


@pytest.mark.parametrize(
    ("changes", "vcpus"),
    [
        ({}, 2.0),
        ({"ProcessorFeatures": [{"Name": "coreCount", "Value": "4"}, {"Name": "threadsPerCore", "Value": "1"}]}, 4.0),
    ],
    ids=["by the name of the class", "as chosen"],
)
async def test_vcpus_without_ec2(services: AwsServices, finder: Finding, changes: dict[str, Any], vcpus: float) -> None:
    """Where EC2 may not be asked the class's name or the chosen features tell; that is no end."""
    services.answer("rds", "DescribeDBInstances", instance(**changes))
    assert await finder(instance_id="lake-1").vcpus() == vcpus


async def test_vcpus_nobody_knows(services: AwsServices, finder: Finding) -> None:
    """What the operator says counts without asking; else the sentence names the setting."""
    assert await finder(vcpus=12.0).vcpus() == 12.0
    assert services.requests == []
    for changes, answer in (
        ({"hosts": ("index.example",)}, instance()),
        ({"instance_id": "lake-1"}, instance(instance_class="db.serverless")),
        ({"instance_id": "lake-1"}, instance(instance_class="db.r5.large.tpc1.mem2x")),
    ):
        services.answer("rds", "DescribeDBInstances", answer)
        with pytest.raises(SensorError, match="set SUBSCRIBER_DATABASE_VCPUS"):
            await finder(**changes).vcpus()


@pytest.mark.parametrize(
    ("instance_class", "vcpus"),
    [
        ("db.t2.micro", 1),
        ("db.t2.medium", 2),
        ("db.t3.micro", 2),
        ("db.t4g.medium", 2),
        ("db.m5.large", 2),
        ("db.r6g.xlarge", 4),
        ("db.r7g.16xlarge", 64),
        ("db.x2iedn.32xlarge", 128),
        ("db.r6i.32xlarge", 128),
        ("db.m4.10xlarge", 40),
        ("db.m2.xlarge", None),
        ("db.m6g.medium", None),
        ("db.r5.large.tpc1.mem2x", None),
        ("db.serverless", None),
        ("db.z9.metal", None),
        ("", None),
    ],
)
def test_the_rule_of_class_names(instance_class: str, vcpus: int | None) -> None:
    """`large` is two, each `x` four; where the rule does not hold nothing is claimed."""
    assert vcpus_by_name(instance_class) == vcpus
