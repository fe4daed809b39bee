"""The composition root: opens the adapters in order, builds the pipeline, runs it, stops it.

Only here do the ports of the core meet the adapters that implement them. Order of opening: HTTP server (so that
/livez answers from the first moment), SQS client, database, pipeline; closing is the reverse.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import uvloop

from subscriber.adapters.ecs.agent import EcsAgent, task_identity
from subscriber.adapters.ecs.protection import task_protection
from subscriber.adapters.load.open import open_sensor
from subscriber.adapters.postgres.auth import authenticated
from subscriber.adapters.postgres.history import HistoryDays
from subscriber.adapters.postgres.migrations import migrate as apply_migrations
from subscriber.adapters.postgres.quarantine import Quarantine
from subscriber.adapters.postgres.store import PostgresStore
from subscriber.adapters.postgres.usage import UsageFold
from subscriber.adapters.sqs.client import Sqs
from subscriber.admin.control import ControlPage
from subscriber.admin.live import LiveFeed
from subscriber.admin.live_facts import LiveFacts, LiveFactsOptions
from subscriber.admin.server import AdminServer
from subscriber.check.startup import explain, probe, require_database
from subscriber.check.subscription import gap_of_bucket
from subscriber.control.alarms import Alarms
from subscriber.control.backlog import Backlog
from subscriber.control.bucket_ages import BucketAges
from subscriber.control.bucket_notes import BucketNotes
from subscriber.control.history_days import HistoryTending
from subscriber.control.load_monitor import LoadMonitor
from subscriber.control.observer import Observer, PipelineSignals
from subscriber.control.quarantine_count import REASONS_AT_MOST, QuarantineCount
from subscriber.control.regulator import Regulator
from subscriber.control.report import Report
from subscriber.control.usage_folding import UsageFolding
from subscriber.enrich.in_daemon import run_enrichment
from subscriber.enrich.worker import EnrichOptions
from subscriber.errors import ExitCode, QueueCallError, QueueError, StoreError
from subscriber.flow.backoff import delay_as_asked
from subscriber.flow.breaker import PROBE_BACKOFF
from subscriber.flow.leases import InFlightLimits, VisibilityLeases
from subscriber.flow.limiter import ConcurrencyLimiter
from subscriber.flow.release import release_all
from subscriber.flow.shutdown import StopRequest, run_until
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
from subscriber.reconcile.in_daemon import DaemonSchedule, DaemonScheduleOptions
from subscriber.reconcile.pace import Conditions, PaceOptions
from subscriber.reconcile.schedule import ScheduleOptions
from subscriber.settings.database_url import DatabaseUrl
from subscriber.settings.table import Settings

RELEASE_SECONDS = 10
"""Reserved at the end of the stop budget to release messages that were not stored and to close all adapters. Of it:"""
RELEASE_CALLS_SECONDS = 5
STORE_CLOSE_SECONDS = 1
"""The HTTP server has a limit of its own, and the sensor closes while messages are released."""

PROBE_ATTEMPTS = 5

_log = get_logger()


def run(settings: Settings, *, migrate: bool) -> ExitCode:
    """Run the daemon until it is asked to stop; `errors.ExitCode` explains the exit code.

    Args:
        settings: validated settings.
        migrate: upgrade the schema first.

    Raises:
        SubscriberError: it could not start, or met a permanent failure; the text is for the operator.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Daemon(settings).run(migrate_first=migrate))


POLLS_END_SECONDS = 0.05
"""After polls were cancelled, before messages are released: a service that has not noticed the end of a poll would
answer it with them, and they would stay invisible."""


class Daemon:
    """One run of the process.

    Args:
        settings: validated settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = store_options(settings)
        """With a login source, once the database is opened."""
        self._metrics = Metrics(queues=settings.queue_urls)
        self._stop = StopRequest()
        self._pipeline: Pipeline | None = None
        self._regulator: Regulator | None = None
        """Set while the pipeline runs; serves /control."""
        self._is_broken = False
        """Set when a task beside the pipeline has failed: the pipeline drains, and the exit code is FAILED."""

    async def run(self, *, migrate_first: bool) -> ExitCode:
        """Open, run, stop, close."""
        settings = self._settings
        self._stop.install()
        _log.info("daemon.started", **settings.redacted())
        async with AsyncExitStack() as adapters:
            control = ControlPage(settings.control_token, lambda: self._regulator)
            live = self._live_feed()
            routes = (*control.routes(), *live.routes())
            server = AdminServer(settings.http_host, settings.http_port, self._metrics.registry, self.readiness, routes)
            await server.start()
            adapters.push_async_callback(server.stop)
            await adapters.enter_async_context(live)
            _log.info("http.listening", host=settings.http_host, port=server.port)
            code = await self._open_and_run(adapters, migrate_first=migrate_first)
        _log.info("daemon.ended", exit_code=int(code), meaning=code.name.lower())
        return code

    async def _open_and_run(self, adapters: AsyncExitStack, *, migrate_first: bool) -> ExitCode:
        settings, stop = self._settings, self._stop.requested
        queues = await run_until(stop, adapters.enter_async_context(Sqs(sqs_options(settings))))
        if queues is None:
            return ExitCode.DRAINED
        database = authenticated(store_options(settings, await self._worker()), auth_options(settings))
        options = await run_until(stop, adapters.enter_async_context(database))
        if options is None:
            return ExitCode.DRAINED
        self._database = options
        store = PostgresStore(options)
        adapters.push_async_callback(store.close, STORE_CLOSE_SECONDS)
        opened = await run_until(stop, self._open(queues, store, migrate_first=migrate_first))
        return await self._run_pipeline(queues, store) if opened else ExitCode.DRAINED

    def readiness(self) -> dict[str, bool]:
        """The conditions of /readyz."""
        pipeline = self._pipeline
        return {
            "started": pipeline is not None,
            "queues": pipeline is not None and pipeline.queues_answer,
            "database": pipeline is not None and not pipeline.breaker.is_unavailable,
            "not_stopping": not self._stop.requested.is_set(),
        }

    def _live_feed(self) -> LiveFeed:
        settings = self._settings
        facts = LiveFacts(
            LiveFactsOptions(settings.control_token is not None, settings.lag_target_seconds),
            self._metrics,
            conditions=self.readiness,
            pipeline=lambda: self._pipeline,
            regulator=lambda: self._regulator,
        )
        return LiveFeed(facts)

    async def _worker(self) -> str:
        """The name of this worker in the log and in the database; empty outside of ECS."""
        task = await run_until(self._stop.requested, task_identity(os.environ))
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
                return await probe(
                    queues, queue, self._metrics.queue_name(queue), self._settings.receive_visibility_seconds
                )
            except QueueCallError as error:
                attempt += 1
                if attempt == PROBE_ATTEMPTS:
                    text = f"queue {queue} cannot be called ({error}); check URL, endpoint, network and credentials"
                    raise QueueError(text) from error
                _log.warning("queue.waiting", queue=queue, reason=error.code, detail=error.detail)
                seconds = delay_as_asked(PROBE_BACKOFF.delay_seconds(attempt + 1), error.retry_after_seconds)
                await asyncio.sleep(seconds)

    async def _open_database(self, store: PostgresStore, *, migrate_first: bool) -> None:
        """Wait for the database as long as it takes; a permanent failure ends the start."""
        options = self._database
        attempt = 0
        while True:
            try:
                await self._log_in(store)
                if migrate_first:
                    _log.info("schema.migrated", applied=await apply_migrations(options))
                return await require_database(options)
            except StoreError as error:
                if error.treatment.is_final_at_start:
                    raise
                address = DatabaseUrl.parse(options.url).address
                _log.warning("database.waiting", database=address, reason=error.word, detail=str(error))
            await asyncio.sleep(PROBE_BACKOFF.delay_seconds(attempt + 1))
            attempt += 1

    async def _log_in(self, store: PostgresStore) -> None:
        try:
            await store.open()
        except StoreError as error:
            explain(error, self._settings.database_auth)
            raise

    async def _run_pipeline(self, queues: Sqs, store: PostgresStore) -> ExitCode:
        settings = self._settings
        limiter = ConcurrencyLimiter(settings.write_max_concurrency)
        limits = InFlightLimits(messages=settings.prefetch_messages, bytes=settings.prefetch_bytes)
        leases = VisibilityLeases(
            settings.queue_urls, limits, settings.receive_visibility_seconds, settings.hold_max_seconds
        )
        options = pipeline_options(settings)
        pipeline = self._pipeline = Pipeline(options, queues, store, limiter, leases, self._metrics)
        self._register_gauges(pipeline)
        load = self._load_monitor()
        self._regulator = self._regulator_of(pipeline, queues, load)
        notes = BucketNotes(pipeline.bucket_tallies, store.note_buckets)
        ages = BucketAges(settings.buckets or (), store.youngest_event_ages, self._metrics)
        fold = UsageFold(store.noting, self._database.schema)
        days = HistoryDays(store.noting, self._database.schema)
        side_tasks = [
            self._side_task(self._regulator.run(), "regulator"),
            self._side_task(self._quarantine_count().run(), "quarantine count"),
            self._side_task(ages.run(), "bucket ages"),
            self._side_task(UsageFolding(fold.fold, self._metrics).run(), "usage folding"),
            self._side_task(HistoryTending(days.tend, self._metrics).run(), "history days"),
        ]
        if settings.enrich == "true":
            side_tasks.append(self._side_task(self._enrichment(), "enrichment"))
        noting = self._side_task(notes.run(), "bucket notes")
        schedule = asyncio.create_task(self._schedule(pipeline).run(self._stop.requested), name="reconcile schedule")
        schedule.add_done_callback(self._schedule_ended)
        agent = EcsAgent.of(os.environ) if settings.task_protection == "busy" else None
        try:
            async with task_protection(agent, lambda: next(leases.outstanding(), None) is not None):
                return await self._run_until_drained(pipeline)
        finally:
            for task in (*side_tasks, schedule):
                task.cancel()
            if outstanding := list(leases.outstanding()):
                await asyncio.sleep(POLLS_END_SECONDS)
            releasing = release_all(queues, outstanding, RELEASE_CALLS_SECONDS, self._metrics.queue_name)
            schedule_end = asyncio.wait([schedule], timeout=RELEASE_CALLS_SECONDS)
            await asyncio.gather(releasing, load.close(), schedule_end, notes.end(noting))

    def _side_task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task beside the pipeline, without which the daemon is broken."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._side_task_ended)
        return task

    def _schedule(self, pipeline: Pipeline) -> DaemonSchedule:
        def conditions() -> Conditions:
            lag_seconds = self._regulator.lag_seconds if self._regulator else 0.0
            is_stopped = pipeline.limiter.is_paused or pipeline.breaker.is_unavailable
            return Conditions(pipeline.limiter.limit, lag_seconds, is_stopped)

        options = _schedule_options(self._settings)
        return DaemonSchedule(options, self._database, pipeline.limiter, self._metrics, conditions)

    async def _enrichment(self) -> None:
        settings = self._settings
        options = EnrichOptions(
            settings.enrich_concurrency, settings.enrich_dollars_per_month_at_most, settings.head_price_per_million
        )
        await run_enrichment(options, settings.enrich_requests_per_second, self._database, self._metrics)

    def _quarantine_count(self) -> QuarantineCount:
        quarantine = Quarantine(self._database)
        return QuarantineCount(lambda: quarantine.waiting(REASONS_AT_MOST), self._metrics)

    def _load_monitor(self) -> LoadMonitor:
        source, options = self._settings.database_load_source, sensor_options(self._settings, self._database)
        return LoadMonitor(source, None if source == "none" else lambda: open_sensor(options), self._metrics)

    def _regulator_of(self, pipeline: Pipeline, queues: Sqs, load: LoadMonitor) -> Regulator:
        signals = PipelineSignals(
            pipeline.tally,
            pipeline.limiter,
            pipeline.leases,
            pipeline.arrivals,
            lambda: pipeline.breaker.is_unavailable,
        )
        backlog = Backlog(self._settings.queue_urls, queues, self._metrics)
        observer = Observer(signals, backlog, load, self._metrics)
        alarms = Alarms(pipeline.arrivals, backlog, self._metrics)
        report = Report(observer, alarms, self._metrics)
        return Regulator(
            governor_options(self._settings),
            observer,
            alarms,
            report,
            pipeline.limiter,
            leases=pipeline.leases,
            set_rows_at_most=pipeline.batcher.set_rows_at_most,
        )

    async def _run_until_drained(self, pipeline: Pipeline) -> ExitCode:
        running = asyncio.create_task(pipeline.run(), name="pipeline")
        _log.info("pipeline.started")
        requested = asyncio.create_task(self._stop.requested.wait(), name="stop requested")
        forced = asyncio.create_task(self._stop.forced.wait(), name="stop forced")
        try:
            await asyncio.wait({running, requested}, return_when=asyncio.FIRST_COMPLETED)
            pipeline.stop()
            self._regulator = None
            _log.info("daemon.stopping", in_process_messages=pipeline.leases.messages_held)
            budget = max(0.0, self._settings.stop_timeout_seconds - RELEASE_SECONDS)
            await asyncio.wait({running, forced}, timeout=budget, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                return ExitCode.STOPPED_LATE
            running.result()
            return ExitCode.FAILED if self._is_broken else ExitCode.DRAINED
        finally:
            for task in (running, requested, forced):
                task.cancel()
            await asyncio.gather(running, requested, forced, return_exceptions=True)

    def _register_gauges(self, pipeline: Pipeline) -> None:
        self._metrics.in_process_messages.set_function(lambda: pipeline.leases.messages_held)
        self._metrics.in_process_bytes.set_function(lambda: pipeline.leases.bytes_held)
        self._metrics.reserved_messages.set_function(lambda: pipeline.leases.messages_reserved)
        self._metrics.reserved_bytes.set_function(lambda: pipeline.leases.bytes_reserved)
        self._metrics.concurrency_limit.set_function(lambda: pipeline.limiter.limit)
        self._metrics.concurrency.set_function(lambda: pipeline.limiter.at_work)
        self._metrics.batch_rows_limit.set_function(lambda: pipeline.batcher.rows_at_most)

    def _schedule_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:  # else the stop has ended it
            self._side_task_ended(task)

    def _side_task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            _log.critical("daemon.broken", task=task.get_name(), detail=repr(task.exception()))
            self._is_broken = True
            self._stop.request()


def _schedule_options(settings: Settings) -> DaemonScheduleOptions | None:
    """Options of the schedule; None: there is none."""
    if settings.reconcile_every_hours is None:
        return None
    return DaemonScheduleOptions(
        schedule=ScheduleOptions(settings.reconcile_every_hours * 3600, settings.buckets),
        pace=PaceOptions(settings.lag_target_seconds, settings.lag_max_seconds),
        is_repair=settings.reconcile_repair == "true",
        batch_rows=settings.batch_max_rows,
        gap_of=partial(_certain_gap, settings.queue_urls),
    )


async def _certain_gap(queue_urls: Sequence[str], bucket: str) -> str | None:
    gap = await gap_of_bucket(bucket, "", queue_urls)
    return gap.problem if gap is not None and gap.is_certain else None
