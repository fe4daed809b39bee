"""The worker in the daemon, with its own connection to the database and its clients of S3."""

from __future__ import annotations

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.enrichment import Enrichment
from subscriber.adapters.s3.metadata import S3MetadataReader
from subscriber.enrich.worker import EnrichmentWorker, EnrichOptions
from subscriber.flow.request_budget import RequestLimits
from subscriber.observe.metrics import Metrics


async def run_enrichment(
    options: EnrichOptions, requests_per_second: float, database: StoreOptions, metrics: Metrics
) -> None:
    """Run a worker until it is cancelled.

    Args:
        options: of the worker.
        requests_per_second: at most, to each bucket.
        database: how to connect.
        metrics: of the daemon.
    """
    queue = Enrichment(database)
    try:
        async with S3MetadataReader(limits=RequestLimits(options.concurrency, requests_per_second)) as reader:
            await EnrichmentWorker(options, queue, reader, metrics).run()
    finally:
        await queue.close()
