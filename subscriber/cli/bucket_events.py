"""Whether the events of a bucket arrive: what is asked before a command fills or compares an index."""

from __future__ import annotations

import click

from subscriber.check.subscription import require_subscription
from subscriber.errors import ConfigurationError
from subscriber.settings.table import Settings


async def require_events(settings: Settings, bucket: str, prefix: str) -> None:
    """Refuse a bucket whose changes would not arrive; where that cannot be known, say so on stderr.

    Raises:
        ConfigurationError: they would not; the text says what to do.
    """
    if settings.buckets and bucket not in settings.buckets:
        raise ConfigurationError(
            f"bucket {bucket} is not in SUBSCRIBER_BUCKETS, so its events are quarantined: add it; --anyway goes on "
            "all the same"
        )
    doubt = await require_subscription(bucket, prefix, settings.queue_urls)
    if doubt is not None:
        click.echo(f"subscriber: {doubt}; make sure that they arrive", err=True)
