"""Finds the RDS instance of the database and its facts, and refreshes them, because writers change."""

from __future__ import annotations

import asyncio
import math

import msgspec

from subscriber.adapters.aws.calls import AwsCallError, AwsCalls
from subscriber.adapters.aws.rds_endpoint import RdsEndpoint, is_resource_id, rds_endpoint
from subscriber.adapters.load.instance_facts import (
    InstanceFacts,
    facts_in,
    max_capacity_in,
    vcpus_by_name,
    vcpus_in,
    writer_in,
)
from subscriber.adapters.load.sensor import SensorOptions
from subscriber.errors import SensorError
from subscriber.flow.backoff import Backoff
from subscriber.observe.log import get_logger

WRITER_SECONDS = 60.0
"""How often the finder looks up the writer of a cluster: after a failover the old writer is idle, which would look like
free capacity."""
INSTANCE_SECONDS = 600.0
"""The same for a named instance, whose class may change."""
UNKNOWN_SECONDS = 5.0
"""From the first look-up that fails to the next, while nothing is known; each further pause is twice as long."""
KEPT_SECONDS = 300.0
"""How long facts remain in use while a lookup fails."""

_ADVICE = "set SUBSCRIBER_DATABASE_INSTANCE_ID"

_log = get_logger()


def endpoint_of(hosts: tuple[str, ...]) -> RdsEndpoint | None:
    """The RDS endpoint in the database's URL: the writer's, or the only one."""
    found = [endpoint for host in hosts if (endpoint := rds_endpoint(host)) is not None]
    writers = [endpoint for endpoint in found if endpoint.kind == "writer"]
    if writers:
        return writers[0]
    return found[0] if len(found) == 1 else None


def retry_seconds(failures: int, period_seconds: float, *, is_known: bool) -> float:
    """How long after a failed look-up the next one is due, never longer than `period_seconds`. Pure.

    A throttled RDS must not be asked more often than a healthy one, and by every task of a fleet. Only while nothing is
    known, which is at the start or in a failover, the first tries follow sooner.
    """
    return Backoff(WRITER_SECONDS if is_known else UNKNOWN_SECONDS, period_seconds, jitter=0).delay_seconds(failures)


class InstanceFinder:
    """Facts about the instance, cached for a while.

    Args:
        options: what is known of the database.
        calls: the AWS API.
    """

    def __init__(self, options: SensorOptions, calls: AwsCalls) -> None:
        self._instance_id = options.instance_id
        self._given_vcpus = options.vcpus
        self._vcpus: dict[str, float] = {}
        self._type_due_at: dict[str, float] = {}
        """When EC2 may be asked about an instance type again."""
        self._calls = calls
        self._facts: InstanceFacts | None = None
        self._due_at = -math.inf
        self._fresh_until = -math.inf
        self._problem: SensorError | None = None
        """Of the last look-up; None after a success."""
        self._failures = 0
        """Look-ups in a row that failed."""
        self._logged: set[str] = set()
        self.endpoint = endpoint_of(options.hosts)

    @property
    def is_nameless(self) -> bool:
        """Whether nothing names the instance: then no lookup can succeed."""
        return self._instance_id is None and self.endpoint is None

    @property
    def instance_name(self) -> str | None:
        """The name of the instance, if it is known without a lookup."""
        if self._instance_id is not None:
            return None if is_resource_id(self._instance_id) else self._instance_id
        return self.endpoint.name if self.endpoint is not None and self.endpoint.kind == "instance" else None

    async def resource_id(self) -> str:
        """The instance's id for Performance Insights; one in the settings is used as it is.

        Raises:
            SensorError: it cannot be found, or the instance has no Performance Insights.
        """
        if self._instance_id is not None and is_resource_id(self._instance_id):
            return self._instance_id
        facts = await self.facts()
        if facts.has_performance_insights is False:
            raise SensorError(f"Performance Insights is off for instance {facts.identifier}: turn it on")
        if not facts.resource_id:
            raise SensorError(f"RDS names no resource id for instance {facts.identifier}")
        return facts.resource_id

    async def vcpus(self) -> float:
        """Number of processors of the instance: from the settings, from RDS, from EC2, or by the class's name.

        Raises:
            SensorError: it is unknown.
        """
        if self._given_vcpus is not None:
            return self._given_vcpus
        if self.is_nameless:
            raise SensorError("how many processors the database has is not known: set SUBSCRIBER_DATABASE_VCPUS")
        facts = await self.facts()
        if facts.threads is not None:
            return float(facts.threads)
        if facts.instance_class not in self._vcpus:  # after a failover the writer may be larger or smaller
            self._vcpus[facts.instance_class] = await self._count_vcpus(facts)
        return self._vcpus[facts.instance_class]

    async def _count_vcpus(self, facts: InstanceFacts) -> float:
        if facts.is_serverless:
            text = f"instance {facts.identifier} is serverless, so its number of processors changes"
            raise SensorError(f"{text}: choose performance_insights or cloudwatch, or set SUBSCRIBER_DATABASE_VCPUS")
        vcpus = await self._vcpus_of_type(facts) or vcpus_by_name(facts.instance_class)
        if vcpus is None:
            text = f"how many processors a {facts.instance_class} has is not known"
            raise SensorError(f"{text}: set SUBSCRIBER_DATABASE_VCPUS")
        return float(vcpus)

    async def facts(self) -> InstanceFacts:
        """The facts of the present writer.

        Raises:
            SensorError: it cannot be found.
        """
        clock = asyncio.get_running_loop().time
        if clock() < self._due_at:
            return self._known(clock())
        # Counted and paced as failed before it begins: whoever asked may be cancelled before RDS answers.
        self._failed(AwsCallError("rds", code="Timeout", detail="no answer to the last look-up"), clock())
        try:
            found = await self._look_up()
        except SensorError as error:
            self._failures -= 1
            self._failed(error, clock())
            return self._known(clock())
        if self._facts is None or found.identifier != self._facts.identifier:
            _log.info("instance.found", **msgspec.structs.asdict(found))
        self._facts, self._problem, self._failures = found, None, 0
        self._due_at = clock() + self._period_seconds
        self._fresh_until = self._due_at
        return found

    def _failed(self, problem: SensorError, now: float) -> None:
        """Record a failed look-up: the next one is due as after a success, or sooner if nothing is known."""
        is_kept = self._facts is not None and isinstance(problem, AwsCallError)
        self._problem = problem
        self._failures += 1
        self._due_at = now + retry_seconds(self._failures, self._period_seconds, is_known=is_kept)

    def _known(self, now: float) -> InstanceFacts:
        """What the last look-up has left: its facts, those of an earlier one for a while, or its error."""
        problem = self._problem
        if self._facts is not None:
            if problem is None:
                return self._facts
            if isinstance(problem, AwsCallError) and now <= self._fresh_until + KEPT_SECONDS:
                self.log_once("instance.lookup_failed", str(problem))
                return self._facts
        raise (problem or SensorError("the instance has not been looked up")).with_traceback(None)

    @property
    def _period_seconds(self) -> float:
        follows_the_writer = self._instance_id is None and self.endpoint is not None and self.endpoint.kind == "writer"
        return WRITER_SECONDS if follows_the_writer else INSTANCE_SECONDS

    async def _look_up(self) -> InstanceFacts:
        if self._instance_id is not None:
            return await self._instance(self._instance_id)
        match self.endpoint:
            case RdsEndpoint(kind="instance", name=name):
                return await self._instance(name)
            case RdsEndpoint(kind="writer", name=name):
                return await self._instance(await self._writer_of(name))
            case RdsEndpoint(kind=kind, name=name):
                raise SensorError(f"the {kind} endpoint {name} does not identify an instance: {_ADVICE}")
        raise SensorError(f"the host names no instance of RDS: {_ADVICE}")

    async def _writer_of(self, cluster: str) -> str:
        answer = await self._calls.call("rds", "DescribeDBClusters", DBClusterIdentifier=cluster)
        if (writer := writer_in(answer)) is None:
            raise SensorError(f"cluster {cluster} has no writer at this moment")
        return writer

    async def _instance(self, instance_id: str) -> InstanceFacts:
        if is_resource_id(instance_id):
            by_resource_id = [{"Name": "dbi-resource-id", "Values": [instance_id]}]
            answer = await self._calls.call("rds", "DescribeDBInstances", Filters=by_resource_id)
        else:
            answer = await self._calls.call("rds", "DescribeDBInstances", DBInstanceIdentifier=instance_id)
        facts = facts_in(answer)
        if facts is None:
            raise SensorError(f"RDS knows no instance {instance_id} in this account and region")
        if facts.is_serverless and facts.cluster:
            return msgspec.structs.replace(facts, max_capacity_units=await self._max_capacity(facts.cluster))
        return facts

    async def _max_capacity(self, cluster: str) -> float | None:
        try:
            return max_capacity_in(await self._calls.call("rds", "DescribeDBClusters", DBClusterIdentifier=cluster))
        except AwsCallError as error:
            self.log_once("instance.partially_known", str(error))
            return None

    async def _vcpus_of_type(self, facts: InstanceFacts) -> int | None:
        """From EC2, for the instance type that the class is named after."""
        ec2_type = facts.instance_class.removeprefix("db.")
        now = asyncio.get_running_loop().time()
        if now < self._type_due_at.get(ec2_type, now):
            return None
        self._type_due_at[ec2_type] = now + INSTANCE_SECONDS
        try:
            return vcpus_in(await self._calls.call("ec2", "DescribeInstanceTypes", InstanceTypes=[ec2_type]))
        except AwsCallError as error:
            self.log_once("instance.partially_known", str(error))
            return None

    def log_once(self, event: str, detail: str) -> None:
        """Log an event the first time only, not every minute."""
        if event not in self._logged:
            self._logged.add(event)
            _log.warning(event, detail=detail)
