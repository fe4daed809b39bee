"""Translates settings into the options of each part.

A stage or adapter that has options takes a frozen struct of its own, so that none of them knows the settings. `app`
gives the parts that need only a value or two, such as the leases and the HTTP server, these values themselves.
"""

from __future__ import annotations

from subscriber.adapters.load.sensor import SensorOptions
from subscriber.adapters.postgres.auth import AuthOptions
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.sqs.options import SqsOptions
from subscriber.admin.limits import CONNECTIONS_AT_MOST
from subscriber.choices import SCHEDULED_RANGES
from subscriber.control.governor.decide import GovernorOptions
from subscriber.pipeline.acknowledge import AcknowledgeOptions
from subscriber.pipeline.batch import BatchOptions
from subscriber.pipeline.pipeline import PipelineOptions
from subscriber.pipeline.receive import ReceiveOptions
from subscriber.pipeline.write import WriteOptions
from subscriber.queue_url import region_of
from subscriber.settings.database_url import DatabaseUrl
from subscriber.settings.table import Settings

SETTLE_CALLS_AT_MOST = 16
"""Concurrent delete calls: enough for 2,000 messages a second at 80 ms a call."""

SCHEDULE_CONNECTIONS = 2 * SCHEDULED_RANGES + 4
"""To the database, of the one daemon that compares a bucket on a schedule: a reader and a writer of each range, the
ranges themselves, the progress, what is due, and the lock."""
SCHEDULE_CALLS = 2 * SCHEDULED_RANGES
"""To S3, at once."""

OTHER_FILES = 64
"""Beside the pools: streams, event loop, modules, logins to several addresses, load sensor and credentials."""


def sqs_options(settings: Settings) -> SqsOptions:
    """Options of the SQS client."""
    return SqsOptions(
        queues=settings.queue_urls,
        wait_seconds=settings.receive_wait_seconds,
        visibility_seconds=settings.receive_visibility_seconds,
        polls_at_most=max(settings.receive_max_polls, len(settings.queue_urls)),
        settle_calls_at_most=SETTLE_CALLS_AT_MOST,
    )


def open_files_needed(settings: Settings) -> int:
    """How many files and connections the daemon needs at its busiest."""
    queues = sqs_options(settings)
    calls = queues.polls_at_most + queues.settle_calls_at_most + len(settings.queue_urls)
    store = store_options(settings)
    scheduled = SCHEDULE_CALLS if store.connections_beside else 0
    enriched = settings.enrich_concurrency + 1 if settings.enrich == "true" else 0  # calls to one bucket, and the queue
    beside = store.connections_beside + scheduled + enriched
    return CONNECTIONS_AT_MOST + calls + store.connections_max + beside + OTHER_FILES


def check_options(settings: Settings) -> SqsOptions:
    """Options of the SQS client of a check: it receives one message, without waiting, and leaves it visible."""
    return SqsOptions(
        queues=settings.queue_urls,
        wait_seconds=0,
        visibility_seconds=0,
        polls_at_most=len(settings.queue_urls),
        settle_calls_at_most=2 * len(settings.queue_urls),
        messages_per_poll=1,
    )


def store_options(settings: Settings, worker: str = "") -> StoreOptions:
    """Options of the store; `worker` becomes part of the application name in pg_stat_activity."""
    return StoreOptions(
        url=settings.database_url,
        schema=settings.database_schema,
        write_timeout_seconds=settings.write_timeout_seconds,
        connections_max=int(settings.write_max_concurrency) + 2,
        connections_beside=0 if settings.reconcile_every_hours is None else SCHEDULE_CONNECTIONS,
        tls=settings.database_tls,
        ca_file=settings.database_ca_file,
        application_name=f"subscriber-{worker}" if worker else "subscriber",
        pooler=settings.database_pooler,
    )


def auth_options(settings: Settings) -> AuthOptions:
    """Options of the database authentication."""
    url = DatabaseUrl.parse(settings.database_url)
    return AuthOptions(
        method=settings.database_auth,
        secret_id=settings.database_secret_arn or "",
        host=url.hosts[0],
        port=url.port,
        user=url.user,
    )


def sensor_options(settings: Settings, store: StoreOptions) -> SensorOptions:
    """Options of the load sensors, which connect as the writers do."""
    return SensorOptions(
        source=settings.database_load_source,
        store=store,
        hosts=DatabaseUrl.parse(settings.database_url).hosts,
        instance_id=settings.database_instance_id,
        vcpus=settings.database_vcpus,
        region=next((region for url in settings.queue_urls if (region := region_of(url)) is not None), None),
    )


def pipeline_options(settings: Settings) -> PipelineOptions:
    """Options of the pipeline."""
    return PipelineOptions(
        receive=ReceiveOptions(queues=settings.queue_urls, polls_at_most=settings.receive_max_polls),
        batch=BatchOptions(
            max_rows=settings.batch_max_rows,
            max_messages=settings.batch_max_rows,
            linger_seconds=settings.batch_linger_seconds,
        ),
        write=WriteOptions(statement_seconds=settings.write_timeout_seconds),
        acknowledge=AcknowledgeOptions(calls_at_most=SETTLE_CALLS_AT_MOST),
        buckets=frozenset(settings.buckets) or None,
        keeps_requester=settings.keep_requester == "true",
    )


def governor_options(settings: Settings) -> GovernorOptions:
    """Options of the governor."""
    return GovernorOptions(
        limit_at_least=min(settings.write_min_concurrency, settings.write_max_concurrency),
        limit_at_most=settings.write_max_concurrency,
        slow_statement_seconds=settings.write_timeout_seconds / 3,
        cpu_target_percent=settings.database_cpu_target_percent,
        cpu_max_percent=settings.database_cpu_max_percent,
        lag_target_seconds=settings.lag_target_seconds,
        lag_max_seconds=settings.lag_max_seconds,
        has_load_signal=settings.database_load_source != "none",
        batch_max_rows=settings.batch_max_rows,
    )
