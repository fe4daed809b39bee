"""The RDS instance of the database, and its number of processors."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec
import pytest
import structlog

from subscriber.adapters.aws.calls import AwsCallError, AwsCalls
from subscriber.adapters.load import instance_finder
from subscriber.adapters.load.instance_facts import InstanceFacts, vcpus_by_name
from subscriber.adapters.load.instance_finder import InstanceFinder, retry_seconds
from subscriber.adapters.load.sensor import SensorOptions
from subscriber.errors import SensorError
from testkit.aws.aws_services import AwsServices, Fault
from tests.adapters.load.answers import RESOURCE_ID, cluster, instance
from tests.fakes.virtual_time import VirtualTimeLoop, settle

LAKE_1 = InstanceFacts("lake-1", RESOURCE_ID, "db.r6g.large", cluster="lake", has_performance_insights=True)
ENDPOINT = "c9akciq32rc9.eu-west-1.rds.amazonaws.com"


Finding: TypeAlias = Callable[..., InstanceFinder]


@pytest.fixture
async def finder(aws_options: SensorOptions) -> AsyncIterator[Finding]:
    """Makes finders for the cluster, or for changed options."""
    calls = AwsCalls("eu-west-1")
    yield lambda **changes: InstanceFinder(msgspec.structs.replace(aws_options, **changes), calls)
    await calls.close()


async def test_the_writer_of_a_cluster_is_found(services: AwsServices, finder: Finding) -> None:
    """From the cluster's members; the result is cached for a while."""
    services.answer("rds", "DescribeDBClusters", cluster("lake-1"))
    services.answer("rds", "DescribeDBInstances", instance("lake-1"))
    found = finder()
    assert [await found.facts(), await found.facts()] == [LAKE_1, LAKE_1]
    assert services.asked("rds", "DescribeDBClusters") == [{"DBClusterIdentifier": "lake"}]
    assert services.asked("rds", "DescribeDBInstances") == [{"DBInstanceIdentifier": "lake-1"}]


async def test_a_failover_is_followed(services: AwsServices, finder: Finding, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finder looks up the writer of the cluster again periodically."""
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
    """A throttled lookup is one log line, however often it repeats; after five minutes it is a failure."""
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
    """The host of an instance or a configured id is enough; there is no other request."""
    services.answer("rds", "DescribeDBInstances", instance())
    assert await finder(**changes).facts() == LAKE_1
    assert [each.parameters for each in services.requests] == [asked]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hosts": (f"lake.proxy-{ENDPOINT}",)}, "the proxy endpoint lake does not identify an instance"),
        ({"hosts": (f"lake.cluster-ro-{ENDPOINT}",)}, "the reader endpoint lake does not identify an instance"),
        ({"hosts": ("index.example",)}, "names no instance of RDS: set SUBSCRIBER_DATABASE_INSTANCE_ID"),
        ({}, "rds:DescribeDBClusters failed: AccessDenied: .* .the role needs rds:DescribeDBClusters."),
    ],
)
async def test_an_unknown_instance_is_an_error(
    services: AwsServices, finder: Finding, changes: dict[str, object], sentence: str
) -> None:
    """One sentence with the remedy."""
    with pytest.raises(SensorError, match=sentence):
        await finder(**changes).facts()


async def test_a_missing_instance_or_writer_is_an_error(services: AwsServices, finder: Finding) -> None:
    """The account may not have it, or the cluster may be in a failover."""
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
    """The cluster has the range of its capacity; a denial is one log line."""
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


async def test_vcpus_come_from_ec2(services: AwsServices, finder: Finding) -> None:
    """EC2 knows the type that the class is named after; there is one request."""
    services.answer("rds", "DescribeDBInstances", instance(instance_class="db.r9x.large"))
    types = {"InstanceTypes": [{"InstanceType": "r9x.large", "VCpuInfo": {"DefaultVCpus": 3}}]}
    services.answer("ec2", "DescribeInstanceTypes", types)
    found = finder(instance_id="lake-1")
    assert [await found.vcpus(), await found.vcpus()] == [3.0, 3.0]
    assert services.asked("ec2", "DescribeInstanceTypes") == [{"InstanceTypes": ["r9x.large"]}]


async def test_vcpus_follow_the_writer(services: AwsServices, finder: Finding, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failover the writer may have another size."""
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
    """Without permission to ask EC2, the class's name or the chosen features give the number."""
    services.answer("rds", "DescribeDBInstances", instance(**changes))
    assert await finder(instance_id="lake-1").vcpus() == vcpus


async def test_unknown_vcpus(services: AwsServices, finder: Finding) -> None:
    """A configured number needs no request; without one the error names the setting."""
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
    """`large` is two, each `x` four; None where the rule does not hold."""
    assert vcpus_by_name(instance_class) == vcpus


class ScriptedCalls(AwsCalls):
    """Answers from a table by operation, without AWS; counts the calls."""

    def __init__(self, **answers: Any) -> None:
        super().__init__("eu-west-1")
        self.answers, self.made = answers, Counter[str]()

    async def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer of the table, or Throttling."""
        self.made[operation] += 1
        answer: dict[str, Any] | None = self.answers.get(operation)
        if answer is None:
            raise AwsCallError(f"{service}:{operation}", "Throttling", "Rate exceeded")
        return answer


def calls_by_readings(options: SensorOptions, calls: ScriptedCalls, seconds: int, then: Callable[[], None]) -> int:
    """The calls while a sensor reads once a second for so long; `then` happens after the first reading."""

    async def scenario() -> int:
        found = InstanceFinder(options, calls)
        for second in range(seconds):
            with suppress(SensorError):
                await found.vcpus()
            if not second:
                then()
            await asyncio.sleep(1)
        return calls.made.total()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(scenario())


HEALTHY = {"DescribeDBClusters": cluster(), "DescribeDBInstances": instance()}


@pytest.mark.parametrize(
    ("changes", "sooner"), [({}, 0), ({"instance_id": "lake-1"}, 8)], ids=["writer", "named instance"]
)
def test_a_throttled_rds_is_not_asked_more_often(
    aws_options: SensorOptions, changes: dict[str, object], sooner: int
) -> None:
    """In an hour of readings, throttled from the start or later; `sooner`: the tries while nothing is known."""
    options = msgspec.structs.replace(aws_options, **changes)
    healthy = calls_by_readings(options, ScriptedCalls(**HEALTHY), 3600, lambda: None)
    from_the_start = calls_by_readings(options, ScriptedCalls(), 3600, lambda: None)
    later = ScriptedCalls(**HEALTHY)
    since = calls_by_readings(options, later, 3600, later.answers.clear)
    assert from_the_start <= healthy + sooner
    assert since <= healthy + sooner


def test_an_unknown_class_is_not_looked_up_at_every_reading(aws_options: SensorOptions) -> None:
    """EC2 is asked every ten minutes, though no reading succeeds."""
    calls = ScriptedCalls(DescribeDBClusters=cluster(), DescribeDBInstances=instance(instance_class="db.z9.metal"))
    calls_by_readings(aws_options, calls, 1800, lambda: None)
    assert calls.made["DescribeInstanceTypes"] == 3


@pytest.mark.parametrize(
    ("is_known", "period_seconds", "pauses"),
    [
        (False, 60.0, [5, 10, 20, 40, 60, 60]),
        (True, 60.0, [60, 60, 60, 60, 60, 60]),
        (True, 600.0, [60, 120, 240, 480, 600, 600]),
    ],
)
def test_the_pauses_between_failed_look_ups(is_known: bool, period_seconds: float, pauses: list[float]) -> None:
    """Up to the pause between look-ups that succeed."""
    assert [retry_seconds(count, period_seconds, is_known=is_known) for count in range(1, 7)] == pauses


async def test_a_look_up_that_is_cancelled_counts(aws_options: SensorOptions) -> None:
    """A reading that takes too long is cancelled; the next one does not ask again at once."""
    asked, never = Counter[str](), asyncio.Event()

    class Silent(ScriptedCalls):
        async def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
            asked[operation] += 1
            await never.wait()
            return {}

    found = InstanceFinder(aws_options, Silent())
    reading = asyncio.create_task(found.facts(), name="reading")
    await settle()
    reading.cancel()
    await asyncio.wait([reading])
    with pytest.raises(AwsCallError, match="no answer to the last look-up"):
        await found.facts()
    assert asked.total() == 1
