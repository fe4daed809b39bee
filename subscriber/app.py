"""The composition root: opens the edges in order, builds the line, runs it, stops it.

The one place where the rooms' protocols meet the edges that keep them, and where settings become the options of
each. Order of opening: pages (so that /livez answers from the first moment), queues, database, line; closing is
the reverse.
"""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack

import uvloop

from subscriber.adapters.ecs.agent import EcsAgent, task_identity
from subscriber.adapters.ecs.protection import task_protection
from subscriber.adapters.load.open import ChosenSensor
from subscriber.adapters.postgres.auth import authenticated
from subscriber.adapters.postgres.migrations import check_schema
from subscriber.adapters.postgres.migrations import migrate as apply_migrations
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.adapters.sqs.client import Sqs
from subscriber.adapters.sqs.release import release
from subscriber.admin.control import ControlPage
from subscriber.admin.server import Pages
from subscriber.check.startup import probe
from subscriber.control.alarms import Alarms
from subscriber.control.backlog import Backlog
from subscriber.control.load_monitor import LoadWatch
from subscriber.control.observer import Observer, PipelineSignals
from subscriber.control.regulator import Regulator
from subscriber.control.report import Report
from subscriber.errors import ExitCode, QueueCallError, QueueError, StoreError, Treatment
from subscriber.flow.breaker import probe_backoff
from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.flow.shutdown import StopRequest, unless
from subscriber.observe.log import get_logger, name_worker
from subscriber.observe.metrics import Metrics
from subscriber.options import (
    auth_options,
    governor_options,
    pipeline_options,
    sensor_options,
    sqs_options,
    store_options,
)
from subscriber.pipeline.pipeline import Pipeline
from subscriber.settings.table import Settings

RELEASE_SECONDS = 10
"""Kept at the end of the stop budget for handing back what was not stored, and for closing all edges. Of these:"""
RELEASE_CALLS_SECONDS = 5
STORE_CLOSE_SECONDS = 1
"""The pages have a limit of their own, and the sensor closes while messages are handed back."""

PROBE_ATTEMPTS = 5

_log = get_logger()


def run(settings: Settings, *, migrate: bool) -> ExitCode:
    """Run the daemon until it is told to stop; what the exit codes mean stands in `errors.ExitCode`.

    Args:
        settings: checked settings.
        migrate: bring the schema up to date first.

    Raises:
        SubscriberError: it could not start, or a failure nobody can wait out; its text is for the operator.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Daemon(settings).run(migrate_first=migrate))


def migrate(settings: Settings) -> list[str]:
    """Bring the schema up to date; the names of what was applied."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_migrate(settings))


async def _migrate(settings: Settings) -> list[str]:
    async with authenticated(store_options(settings), auth_options(settings)) as options:
        return await apply_migrations(options)


class Daemon:
    """One run of the process.

    Args:
        settings: checked settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = store_options(settings)
        """Once it is opened, with the source of logins."""
        self._metrics = Metrics()
        self._stop = StopRequest()
        self._line: Pipeline | None = None
        self._regulator: Regulator | None = None
        """Set while the line is at work: who shows and obeys on the control page."""
        self._is_broken = False
        """Set when a task beside the line has died: the line runs dry, and the exit code says that it failed."""

    async def run(self, *, migrate_first: bool) -> ExitCode:
        """Open, run, stop, close."""
        settings = self._settings
        self._stop.install()
        _log.info("daemon.started", **settings.redacted())
        async with AsyncExitStack() as edges:
            control = ControlPage(settings.control_token, lambda: self._regulator).routes()
            pages = Pages(settings.http_host, settings.http_port, self._metrics.registry, self.readiness, control)
            await pages.start()
            edges.push_async_callback(pages.stop)
            _log.info("http.listening", host=settings.http_host, port=pages.port)
            queues = await edges.enter_async_context(Sqs(sqs_options(settings)))
            database = store_options(settings, await self._worker())
            self._database = await edges.enter_async_context(authenticated(database, auth_options(settings)))
            store = PostgresStore(self._database)
            edges.push_async_callback(store.close, STORE_CLOSE_SECONDS)
            opened = await unless(self._stop.asked, self._open(queues, store, migrate_first=migrate_first))
            code = await self._run_pipeline(queues, store) if opened else ExitCode.DRAINED
        _log.info("daemon.ended", exit_code=int(code), meaning=code.name.lower())
        return code

    def readiness(self) -> dict[str, bool]:
        """The conditions of /readyz."""
        line = self._line
        return {
            "started": line is not None,
            "queues": line is not None and line.is_receiving,
            "database": line is not None and not line.breaker.is_ongoing,
            "not_stopping": not self._stop.asked.is_set(),
        }

    async def _worker(self) -> str:
        """What this worker is called in the log and in the database; empty outside of ECS."""
        task = await unless(self._stop.asked, task_identity(os.environ))
        name_worker(worker := task.worker if task else "")
        return worker

    async def _open(self, queues: Sqs, store: PostgresStore, *, migrate_first: bool) -> bool:
        for queue in self._settings.queue_urls:
            await self._probe(queues, queue)
        await self._open_database(store, migrate_first=migrate_first)
        return True

    async def _probe(self, queues: Sqs, queue: str) -> None:
        attempt = 0
        while True:
            try:
                return await probe(queues, queue, self._settings.receive_visibility_seconds)
            except QueueCallError as error:
                attempt += 1
                if attempt == PROBE_ATTEMPTS:
                    text = f"queue {queue} cannot be asked ({error}); check URL, endpoint, network and credentials"
                    raise QueueError(text) from error
                _log.warning("queue.waiting", queue=queue, reason=error.code, detail=error.detail)
            await asyncio.sleep(probe_backoff(attempt, random.random()))  # noqa: S311 – jitter, not a secret

    async def _open_database(self, store: PostgresStore, *, migrate_first: bool) -> None:
        """Wait for the database as long as it takes; a refusal that waiting cannot mend ends the start."""
        options = self._database
        attempt = 0
        while True:
            try:
                await store.open()
                if migrate_first:
                    _log.info("schema.migrated", applied=await apply_migrations(options))
                return await check_schema(options)
            except StoreError as error:
                if error.treatment in {Treatment.STOP, Treatment.CREDENTIALS}:
                    raise
                _log.warning("database.waiting", reason=error.word, detail=str(error))
            await asyncio.sleep(probe_backoff(attempt, random.random()))  # noqa: S311 – jitter, not a secret
            attempt += 1

    async def _run_pipeline(self, queues: Sqs, store: PostgresStore) -> ExitCode:
        settings = self._settings
        limiter = ConcurrencyLimiter(settings.write_max_concurrency)
        ceiling = InFlightLimits(messages=settings.prefetch_messages, bytes=settings.prefetch_bytes)
        leases = VisibilityLeases(
            settings.queue_urls, ceiling, settings.receive_visibility_seconds, settings.hold_max_seconds
        )
        line = self._line = Pipeline(pipeline_options(settings), queues, store, limiter, leases, self._metrics)
        self._show(line)
        sensor = ChosenSensor(sensor_options(settings, self._database))
        self._regulator = self._regulator_of(line, queues, sensor)
        regulator = asyncio.create_task(self._regulator.run(), name="regulator")
        regulator.add_done_callback(self._side_task_ended)
        agent = EcsAgent.of(os.environ) if settings.task_protection == "busy" else None
        try:
            async with task_protection(agent, lambda: next(leases.outstanding(), None) is not None):
                return await self._run_until_drained(line)
        finally:
            regulator.cancel()
            outstanding = list(leases.outstanding())
            await asyncio.gather(release(queues, outstanding, RELEASE_CALLS_SECONDS), sensor.close())

    def _regulator_of(self, line: Pipeline, queues: Sqs, sensor: ChosenSensor) -> Regulator:
        signs = PipelineSignals(line.tally, line.limiter, line.leases, line.arrivals, lambda: line.breaker.is_ongoing)
        backlog = Backlog(self._settings.queue_urls, queues, self._metrics)
        has_source = self._settings.database_load_source != "none"
        load = LoadWatch(sensor if has_source else None, self._metrics)
        observer = Observer(signs, backlog, load, self._metrics)
        alarms = Alarms(line.arrivals, backlog, self._metrics)
        report = Report(observer, alarms, self._metrics)
        return Regulator(
            governor_options(self._settings),
            observer,
            alarms,
            report,
            line.limiter,
            leases=line.leases,
            batches=line.batches,
        )

    async def _run_until_drained(self, line: Pipeline) -> ExitCode:
        running = asyncio.create_task(line.run(), name="line")
        _log.info("pipeline.started")
        asked = asyncio.create_task(self._stop.asked.wait(), name="asked")
        urged = asyncio.create_task(self._stop.urged.wait(), name="urged")
        try:
            await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
            line.stop()
            self._regulator = None
            _log.info("daemon.stopping", in_process_messages=line.leases.messages_held)
            budget = max(0.0, self._settings.stop_timeout_seconds - RELEASE_SECONDS)
            await asyncio.wait({running, urged}, timeout=budget, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                return ExitCode.STOPPED_LATE
            running.result()
            return ExitCode.FAILED if self._is_broken else ExitCode.DRAINED
        finally:
            for task in (running, asked, urged):
                task.cancel()
            await asyncio.gather(running, asked, urged, return_exceptions=True)

    def _show(self, line: Pipeline) -> None:
        self._metrics.in_process_messages.set_function(lambda: line.leases.messages_held)
        self._metrics.in_process_bytes.set_function(lambda: line.leases.bytes_held)
        self._metrics.concurrency_limit.set_function(lambda: line.limiter.limit)
        self._metrics.concurrency.set_function(lambda: line.limiter.at_work)
        self._metrics.batch_rows_limit.set_function(lambda: line.batches.rows_at_most)

    def _side_task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            _log.critical("daemon.broken", task=task.get_name(), detail=repr(task.exception()))
            self._is_broken = True
            self._stop.ask()
