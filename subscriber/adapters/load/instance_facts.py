"""The facts of RDS about a database instance that a sensor needs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

SERVERLESS_CLASS = "db.serverless"

_CLASS = re.compile(r"db\.(?P<family>[a-z0-9-]+)\.(?P<size>[a-z0-9]+)")
_SIZE = re.compile(r"(\d*)xlarge")
_BURSTABLE = {"t2": {"micro": 1, "small": 1, "medium": 2}}
_SMALL_SIZES = frozenset({"micro", "small", "medium"})


class InstanceFacts(msgspec.Struct, frozen=True):
    """One instance. A fact that RDS left out, or denied us, is None."""

    identifier: str
    """Its name (DBInstanceIdentifier), which CloudWatch uses."""
    resource_id: str
    """DbiResourceId, which Performance Insights uses."""
    instance_class: str
    cluster: str | None = None
    """The cluster it is a member of."""
    threads: int | None = None
    """Cores × threads per core, where an operator chose them; RDS does not report the defaults."""
    has_performance_insights: bool | None = None
    max_capacity_units: float | None = None
    """Maximum Aurora capacity units of a serverless instance."""

    @property
    def is_serverless(self) -> bool:
        """Whether its capacity changes by itself."""
        return self.instance_class == SERVERLESS_CLASS


def facts_in(answer: Mapping[str, Any]) -> InstanceFacts | None:
    """The first instance in an answer of DescribeDBInstances; None: there is none."""
    instances = answer.get("DBInstances") or []
    if not instances:
        return None
    known = instances[0]
    return InstanceFacts(
        identifier=known["DBInstanceIdentifier"],
        resource_id=known.get("DbiResourceId", ""),
        instance_class=known.get("DBInstanceClass", ""),
        cluster=known.get("DBClusterIdentifier"),
        threads=_threads(known.get("ProcessorFeatures") or []),
        has_performance_insights=known.get("PerformanceInsightsEnabled"),
    )


def writer_in(answer: Mapping[str, Any]) -> str | None:
    """The name of the writer instance in an answer of DescribeDBClusters; None: there is none now."""
    members = [member for cluster in answer.get("DBClusters") or [] for member in cluster.get("DBClusterMembers") or []]
    return next((member["DBInstanceIdentifier"] for member in members if member.get("IsClusterWriter")), None)


def max_capacity_in(answer: Mapping[str, Any]) -> float | None:
    """The maximum capacity units of an instance in an answer of DescribeDBClusters; None: it is not serverless."""
    ranges = [cluster.get("ServerlessV2ScalingConfiguration") or {} for cluster in answer.get("DBClusters") or []]
    return next((found["MaxCapacity"] for found in ranges if "MaxCapacity" in found), None)


def vcpus_in(answer: Mapping[str, Any]) -> int | None:
    """The number of processors of the first type in an answer of EC2's DescribeInstanceTypes."""
    types = answer.get("InstanceTypes") or []
    return (types[0].get("VCpuInfo") or {}).get("DefaultVCpus") if types else None


def vcpus_by_name(instance_class: str) -> int | None:
    """The number of processors of a class, by the rule of its name; None where the rule is not certain.

    `large` has 2, `xlarge` 4 and `Nxlarge` 4 × N, in every family RDS has offered PostgreSQL on; of the burstable
    families the sizes below `large` have 2, and 1 for the small ones of t2 (RDS User Guide, "Hardware
    specifications for DB instance classes"). A name with more parts (`….tpc1.mem2x`) stands for other numbers.
    """
    named = _CLASS.fullmatch(instance_class)
    if named is None or named["family"] == "m2":  # its names stand for half as many processors
        return None
    family, size = named["family"], named["size"]
    if size == "large":
        return 2
    if multiple := _SIZE.fullmatch(size):
        return 4 * int(multiple[1] or 1)
    if family.startswith("t") and size in _SMALL_SIZES:
        return _BURSTABLE.get(family, {}).get(size, 2)
    return None


def _threads(features: list[Mapping[str, str]]) -> int | None:
    chosen = {feature.get("Name"): feature.get("Value", "") for feature in features}
    cores, each = chosen.get("coreCount", ""), chosen.get("threadsPerCore", "1")
    return int(cores) * int(each) if cores.isdecimal() and each.isdecimal() else None
