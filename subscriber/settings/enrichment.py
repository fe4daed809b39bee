"""The settings of the worker that asks S3 for metadata: a part of the one table."""

from __future__ import annotations

from typing import Annotated

import msgspec

from subscriber import choices
from subscriber.choices import Switch
from subscriber.settings.parsers import Setting, choice, number, whole


class EnrichmentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may choose of it."""

    enrich: Annotated[
        Switch,
        Setting(
            choice(Switch),
            "Whether this daemon asks S3 for the content type, user metadata and tags of queued versions, by "
            "HeadObject and GetObjectTagging. `subscriber features enable enrichment` makes writes queue them.",
            group="Enrichment",
        ),
    ] = "false"
    enrich_concurrency: Annotated[
        int,
        Setting(whole(1, 256, "versions"), "How many versions a daemon asks for at once.", "versions"),
    ] = choices.ENRICH_CONCURRENCY
    enrich_requests_per_second: Annotated[
        float,
        Setting(
            number(0.1, 5000, "requests per second"),
            "The most requests that a daemon sends to a bucket for metadata; a version takes two.",
            "requests per second",
        ),
    ] = choices.ENRICH_REQUESTS_PER_SECOND
    enrich_dollars_per_month_at_most: Annotated[
        float,
        Setting(
            number(0, 1_000_000, "USD"),
            "What the fleet may spend on these requests in a calendar month (UTC); then the queue waits for the next "
            "one. A daemon may exceed it by what it has in work. 0 sets no bound.",
            "USD",
        ),
    ] = 0.0
    head_price_per_million: Annotated[
        float,
        Setting(
            number(0, 1_000_000, "USD"),
            "The price of a million such requests. S3 Standard in us-east-1 takes 0.40 USD (Amazon S3 pricing); a "
            "price list of your region has yours.",
            "USD",
        ),
    ] = choices.HEAD_PRICE_PER_MILLION
