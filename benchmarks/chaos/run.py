"""One chaos run: starts the parts and the load, injects the faults, drains the queue and checks the history."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.chaos.catalog import FAULTS
from benchmarks.chaos.context import RunContext
from benchmarks.chaos.credentials import CredentialsServer, credentials_server
from benchmarks.chaos.database import ChaosDatabase
from benchmarks.chaos.faults.clock import clock_environment, seconds_ahead, set_clock
from benchmarks.chaos.faults.server import index_on_small_disk, small_disk
from benchmarks.chaos.load import ChaosLoad
from benchmarks.chaos.observations import Observations
from benchmarks.chaos.plan import Occurrence, Plan
from benchmarks.chaos.proxy import Network, network
from benchmarks.chaos.queues import DAEMONS_KEY, ChaosQueue
from benchmarks.chaos.result import RunResult, traces
from benchmarks.chaos.supervisor import STOP_TIMEOUT_SECONDS, Supervised
from testkit.checker.healthy_wait import Beside, Span, bound_seconds, healthy_wait
from testkit.checker.history import HistoryChecker

DRAIN_TIMEOUT_SECONDS: Final = 60.0
"""How long the daemons may take to drain the queue after the last fault."""
WRITE_TIMEOUT_SECONDS: Final = 1.5
HEALTHY_WAIT_SECONDS: Final = bound_seconds(WRITE_TIMEOUT_SECONDS)
_POLL_SECONDS = 0.1
_IDLE_SECONDS = 1.0
"""After so long without change and without visible messages, the visibility of those in flight is ended: the run would
only wait for their timeout."""


async def run(plan: Plan, database: ChaosDatabase, queue: ChaosQueue) -> RunResult:
    """Executes one run. Errors of the daemon are in the result, errors of the test environment are raised.

    Raises:
        ProcessError: a part of the test environment failed.
    """
    started, observations = time.monotonic(), Observations()
    load = ChaosLoad(plan.seed, plan.messages, plan.load_seconds, variant=plan.variant)
    async with prepared_run(plan, database, queue, observations) as context:
        await asyncio.gather(*(daemon.started() for daemon in context.daemons))
        await database.count_usage()
        async with supervised(context):
            began = time.monotonic()
            queue.attach(load)
            await _inject_all(context, plan, began)
            is_drained = await drained(queue, began + plan.load_seconds)
        if is_drained:
            await asyncio.gather(*(daemon.terminate() for daemon in context.daemons))
        else:
            observations.stuck(queue.counts(), [daemon.daemon for daemon in context.daemons])
        expected, record = queue.evidence(load, plan.rejected_objects)
        if is_drained and len(expected) < plan.messages:
            observations.errors.append(f"the queue is empty, but only {len(expected)} messages were ever delivered")
        checker = HistoryChecker(expected, record, await database.changes(), await database.tables())
        report = checker.check()
        beside = Beside(load.versions_of(plan.concerned_objects), tuple(observations.stops), plan.takes_messages)
        wait = healthy_wait(expected, record, checker.commits, beside, HEALTHY_WAIT_SECONDS)
        observations.errors += await database.usage_errors()
        observations.take(context.daemons)
    return RunResult(
        plan=plan,
        seconds=round(time.monotonic() - started, 1),
        events=report.events,
        stored=report.stored,
        quarantined=report.quarantined,
        receives=sum(len(delivery.received_at) for delivery in record.deliveries.values()),
        most_receives=max((len(delivery.received_at) for delivery in record.deliveries.values()), default=0),
        healthy_wait_seconds=round(wait.longest_seconds, 3),
        healthy_wait_bound_seconds=0.0 if plan.has_load_source else HEALTHY_WAIT_SECONDS,
        healthy_waits_exceeded=0 if plan.has_load_source else wait.exceeded,
        errors=(*observations.errors, *traces(report.findings)),
        notes=tuple(observations.notes),
        symptoms=dict(sorted(observations.symptoms.items())),
    )


@asynccontextmanager
async def prepared_run(
    plan: Plan, database: ChaosDatabase, queue: ChaosQueue, observations: Observations, **changed: str
) -> AsyncIterator[RunContext]:
    """Schema, queue, network and daemons of one run while the block runs; the daemons have been launched.

    Args:
        plan: of the run.
        database: for the index.
        queue: for the load.
        observations: what faults report.
        changed: settings that differ from those of other runs, by their names without the prefix.
    """
    name = f"chaos_{plan.seed}_{os.getpid()}_{time.monotonic_ns() % 1_000_000}"
    async with AsyncExitStack() as parts:
        folder = Path(parts.enter_context(TemporaryDirectory(prefix="chaos-")))
        if "small_disk" in plan.needs:
            parts.enter_context(small_disk(database, folder.with_name(folder.name + "-disk")))
        await parts.enter_async_context(database.schema_for(name))
        await parts.enter_async_context(index_on_small_disk(database))
        queue.open(name.replace("_", "-"))
        parts.callback(queue.close)
        proxy = await parts.enter_async_context(network(database.postgres.port))
        source = parts.enter_context(credentials_server(DAEMONS_KEY))
        first_host = proxy
        if "silent_first_host" in plan.needs:
            first_host = await parts.enter_async_context(network(database.postgres.port))
        if "clock_ahead" in plan.needs:
            set_clock(folder, seconds_ahead(plan.seed))
        url = database.url(*_ports(plan, first_host, proxy))
        environment = _environment(plan, database, queue, url, folder) | _aws(plan, queue, source)
        environment |= {f"SUBSCRIBER_{name}": value for name, value in changed.items()}
        daemons = [Supervised(environment) for _ in range(plan.daemons)]
        for daemon in daemons:
            parts.callback(daemon.close)
            daemon.start()
        yield RunContext(
            database=database,
            queue=queue,
            network=proxy,
            first_host=first_host,
            credentials=source,
            daemons=daemons,
            random=Random(plan.seed),
            folder=folder,
            observations=observations,
            is_alone=len(plan.faults) == 1 and plan.daemons == 1,
        )


def _ports(plan: Plan, first_host: Network, proxy: Network) -> tuple[int, ...]:
    """The ports of the hosts in the daemon's URL, in their order."""
    if first_host is not proxy:
        return first_host.port, proxy.port
    goes_through_network = any(FAULTS[name].group == "network" for name in plan.faults)
    return (proxy.port if goes_through_network else proxy.target_port,)


def _environment(plan: Plan, database: ChaosDatabase, queue: ChaosQueue, url: str, folder: Path) -> dict[str, str]:
    sensor = next((need for need in ("active_sessions", "local") if need in plan.needs), "none")
    settings = {
        "QUEUE_URLS": queue.url,
        "DATABASE_URL": url,
        "DATABASE_SCHEMA": database.schema,
        "DATABASE_LOAD_SOURCE": sensor,
        "DATABASE_VCPUS": str(os.cpu_count() or 1),
        # The run tests how a lost sensor is handled, not how far a busy machine may be loaded.
        "DATABASE_CPU_TARGET_PERCENT": "95",
        "DATABASE_CPU_MAX_PERCENT": "100",
        "RECEIVE_WAIT_SECONDS": "1",
        "RECEIVE_VISIBILITY_SECONDS": "20",
        "RECEIVE_MAX_POLLS": "16",
        "WRITE_TIMEOUT_SECONDS": f"{WRITE_TIMEOUT_SECONDS:g}",
        "WRITE_MAX_CONCURRENCY": str(plan.concurrency),
        # Without a sensor as many statements as possible meet the faults, from the start.
        "WRITE_MIN_CONCURRENCY": str(plan.concurrency) if sensor == "none" else "0.05",
        "STOP_TIMEOUT_SECONDS": f"{STOP_TIMEOUT_SECONDS:g}",
        "BATCH_MAX_ROWS": str(plan.batch_rows),
        "BATCH_LINGER_SECONDS": "0.05",
    }
    ours = {f"SUBSCRIBER_{name}": value for name, value in settings.items()}
    has_clock = not plan.needs.isdisjoint({"clock", "clock_ahead"})
    clock = clock_environment(folder, os.environ.get("PYTHONPATH", "")) if has_clock else {}
    # Coverage of these processes would add little to that of other tests and slow all of them down.
    return {**ours, **clock, "PGPASSFILE": str(database.password_file), "COVERAGE_PROCESS_CONFIG": ""}


def _aws(plan: Plan, queue: ChaosQueue, source: CredentialsServer) -> dict[str, str]:
    endpoint = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_SQS": queue.endpoint_url}
    if "credentials" in plan.needs:
        return endpoint | {"AWS_CONTAINER_CREDENTIALS_FULL_URI": source.url}
    return endpoint | {"AWS_ACCESS_KEY_ID": DAEMONS_KEY, "AWS_SECRET_ACCESS_KEY": DAEMONS_KEY}


@asynccontextmanager
async def supervised(context: RunContext) -> AsyncIterator[None]:
    """Restarts the daemons of the run when they end, while the block runs."""
    watches = [asyncio.create_task(daemon.watch(), name="supervisor") for daemon in context.daemons]
    try:
        yield
    finally:
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)


async def _inject_all(context: RunContext, plan: Plan, began: float) -> None:
    """Injects every fault at its time; returns when the last is over."""
    async with asyncio.TaskGroup() as faults:
        for number, occurrence in enumerate(plan.occurrences):
            injection = _inject(context, occurrence, Random(f"{plan.seed}/{number}"), began)
            faults.create_task(injection, name=occurrence.fault)


async def _inject(context: RunContext, occurrence: Occurrence, random: Random, began: float) -> None:
    """Injects one fault and removes it after its duration."""
    fault = FAULTS[occurrence.fault]
    await asyncio.sleep(began + occurrence.begins_at - time.monotonic())
    began_at = time.time()
    async with fault.inject(context.with_random(random)):
        await asyncio.sleep(occurrence.lasts)
    if fault.stops_writes:
        context.observations.stops.append(Span(began_at, time.time()))


async def drained(queue: ChaosQueue, load_ends_at: float) -> bool:
    """Waits until the queue is empty; False if that takes too long."""
    deadline = max(time.monotonic(), load_ends_at) + DRAIN_TIMEOUT_SECONDS
    last, moved_at = queue.counts(), time.monotonic()
    while time.monotonic() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
        counts = queue.counts()
        now = time.monotonic()
        if counts.is_empty and now > load_ends_at:
            return True
        if counts != last:
            last, moved_at = counts, now
        elif now - moved_at > _IDLE_SECONDS and not counts.visible:
            queue.expire_visibility()
            moved_at = now
    return False
