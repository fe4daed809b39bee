"""Gathers the facts of the live page from the running parts; it asks nobody, so it costs no request."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version

import msgspec
from prometheus_client.metrics import MetricWrapperBase

from subscriber.admin.live_snapshot import Facts, QueueFacts
from subscriber.control.regulator import Regulator
from subscriber.observe.metrics import Metrics
from subscriber.pipeline.pipeline import Pipeline


class LiveFactsOptions(msgspec.Struct, frozen=True):
    """What does not change."""

    accepts_commands: bool
    lag_target_seconds: float


class LiveFacts:
    """Called once per snapshot.

    Args:
        options: what does not change.
        metrics: the catalog.
        conditions: those of /readyz.
        pipeline: returns the pipeline, or None before it exists.
        regulator: returns the regulator, or None while the pipeline is not running.
    """

    def __init__(
        self,
        options: LiveFactsOptions,
        metrics: Metrics,
        *,
        conditions: Callable[[], Mapping[str, bool]],
        pipeline: Callable[[], Pipeline | None],
        regulator: Callable[[], Regulator | None],
    ) -> None:
        self._options = options
        self._metrics = metrics
        self._conditions = conditions
        self._pipeline = pipeline
        self._regulator = regulator
        self._version = version("subscriber")
        self._rates: dict[str, _Rate] = {}

    def __call__(self) -> Facts:
        """The facts of now."""
        pipeline, regulator = self._pipeline(), self._regulator()
        facts = Facts(
            at=datetime.now(UTC),
            version=self._version,
            conditions=self._conditions(),
            accepts_commands=self._options.accepts_commands,
            lag_target_seconds=self._options.lag_target_seconds,
        )
        if pipeline is None or regulator is None:
            return facts
        metrics = self._metrics
        return msgspec.structs.replace(
            facts,
            status=regulator.status(),
            queues=self._queues(pipeline),
            budget_messages=pipeline.leases.budget_messages,
            batch_rows_limit=pipeline.batcher.rows_at_most,
            quarantine={k: int(v) for k, v in values(metrics.quarantine_waiting_messages, "reason").items()} or None,
            reconcile_age_seconds=values(metrics.reconcile_age_seconds, "bucket"),
        )

    def _queues(self, pipeline: Pipeline) -> dict[str, QueueFacts]:
        now = asyncio.get_running_loop().time()
        received = values(self._metrics.received_messages, "queue")
        queues = {}
        for url, arrivals in pipeline.arrivals.items():
            name = self._metrics.queue_name(url)
            rate = self._rates[name] = self._rates.get(name, _Rate(now)).after(received.get(name, 0.0), now)
            queues[name] = QueueFacts(
                taken_messages=pipeline.leases.messages_taken(url),
                received_per_second=round(rate.per_second, 1),
                error=arrivals.error,
                error_age_seconds=now - arrivals.failed_at if arrivals.error else 0.0,
                is_failing=arrivals.is_failing,
            )
        return queues


class _Rate(msgspec.Struct, frozen=True):
    """The rate of a counter over at least a second, so that two calls in a row do not divide by nearly nothing."""

    since: float
    total: float = 0.0
    per_second: float = 0.0

    def after(self, total: float, now: float) -> _Rate:
        """The rate with the counter at `total` now."""
        elapsed = now - self.since
        return self if elapsed < 0.9 else _Rate(now, total, (total - self.total) / elapsed)


def values(metric: MetricWrapperBase, label: str) -> dict[str, float]:
    """The series of a metric with one label, without those that are not a number."""
    samples = (sample for family in metric.collect() for sample in family.samples)
    return {
        sample.labels[label]: sample.value
        for sample in samples
        if not sample.name.endswith("_created") and math.isfinite(sample.value)
    }
