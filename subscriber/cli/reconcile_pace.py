"""Opens what the pace of `reconcile` and `backfill` goes by: the load sensor and the queues of the settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from subscriber.adapters.load.open import open_sensor
from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.sqs.client import Sqs
from subscriber.control.backlog import Backlog
from subscriber.control.load_monitor import LoadMonitor
from subscriber.observe.metrics import Metrics
from subscriber.options import check_options, governor_options, sensor_options
from subscriber.reconcile.own_pace import OwnPace
from subscriber.reconcile.pace import PaceOptions
from subscriber.settings.table import Settings


@asynccontextmanager
async def opened_pace(settings: Settings, database: StoreOptions, share: float) -> AsyncIterator[OwnPace]:
    """A pace that follows load and queues as long as the block.

    Args:
        settings: the daemon's: its load source, its queues, its limits.
        database: how to connect.
        share: of the greatest limit of a daemon, above 0 up to 1.

    Raises:
        ConfigurationError: AWS's settings cannot be used.
        QueueError: there are no credentials.
    """
    metrics = Metrics(queues=settings.queue_urls)
    source, sensor = settings.database_load_source, sensor_options(settings, database)
    async with AsyncExitStack() as opened:
        queues = Sqs(check_options(settings))
        if settings.queue_urls:  # else the lag is nobody's, and the load alone decides
            await opened.enter_async_context(queues)
        load = LoadMonitor(source, None if source == "none" else lambda: open_sensor(sensor), metrics)
        opened.push_async_callback(load.close)
        options = PaceOptions(settings.lag_target_seconds, settings.lag_max_seconds, share)
        backlog = Backlog(settings.queue_urls, queues, metrics)
        pace = OwnPace(options, governor_options(settings), backlog, load)
        running = asyncio.create_task(pace.run(), name="pace")
        try:
            yield pace
        finally:
            running.cancel()
            await asyncio.wait([running])
            if not running.cancelled():
                running.result()  # an error that it did not expect
