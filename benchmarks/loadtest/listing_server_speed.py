"""The CPU cost of the listing server: `python -m benchmarks.loadtest.listing_server_speed`.

The server runs in a process of its own and lists a generated bucket of ten million keys, whose pages this process asks
for one after the other, every request signed and every signature verified. The figure is the user and system CPU time
of the server's process: what the server takes away from a measurement of a lister. The best of several rounds counts,
because other work on the machine can only add to it. Exits with 1 if the server exceeds its budget.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from testkit.s3 import BucketSpec, GeneratedPlan, ListingServer, local_listing_server
from testkit.s3.raw_client import RawS3

BUDGET_MILLISECONDS: Final = 3.3
"""CPU time per page of 1,000: 300 pages a CPU second."""

_BUCKET: Final = "lake"
_LISTINGS: Final = {"ListObjectVersions": {"versions": ""}, "ListObjectsV2": {"list-type": "2"}}
_MARKERS: Final = {
    "key-marker": re.compile(rb"<NextKeyMarker>(.*?)<"),
    "version-id-marker": re.compile(rb"<NextVersionIdMarker>(.*?)<"),
    "continuation-token": re.compile(rb"<NextContinuationToken>(.*?)<"),
}


class Cost(msgspec.Struct, frozen=True):
    """The cost of some pages."""

    pages: int
    cpu_seconds: float
    body_bytes: int

    @property
    def cpu_milliseconds(self) -> float:
        """Of the server, per page."""
        return self.cpu_seconds / self.pages * 1e3


def following(body: bytes) -> dict[str, str]:
    """The parameters of the next page, found without reading the entries."""
    found = {name: marker.search(body[:4_096]) for name, marker in _MARKERS.items()}
    return {name: unquote_plus(match[1].decode()) for name, match in found.items() if match}


def walk(client: RawS3, server: ListingServer, listing: dict[str, str], pages: int) -> Cost:
    """Ask for so many pages from the beginning on."""
    before = server.counts()
    query = {**listing, "encoding-type": "url"}
    markers: dict[str, str] = {}
    for _ in range(pages):
        markers = following(client.call("GET", _BUCKET, {**query, **markers}).body)
    after = server.counts()
    return Cost(pages, after.cpu_seconds - before.cpu_seconds, after.body_bytes - before.body_bytes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both listings and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loadtest.listing_server_speed", description=__doc__)
    parser.add_argument("--pages", type=int, default=500, help="pages per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=BUDGET_MILLISECONDS, help="milliseconds of CPU per page")
    options = parser.parse_args(arguments)
    is_within = True
    spec = BucketSpec(_BUCKET, GeneratedPlan(10_000_000))
    with local_listing_server([spec]) as server, RawS3(server.endpoint_url) as client:
        for name, listing in _LISTINGS.items():
            costs = [walk(client, server, listing, options.pages) for _ in range(options.rounds)]
            best = min(costs, key=lambda cost: cost.cpu_seconds)
            is_within &= best.cpu_milliseconds <= options.budget
            rate, size = 1e3 / best.cpu_milliseconds, best.body_bytes / best.pages / 1e3
            print(
                f"{name}: {best.cpu_milliseconds:.2f} ms of CPU per page of 1,000, {rate:,.0f} pages per CPU second, "
                f"{size:.0f} kB a page"
            )
    return 0 if is_within else 1


if __name__ == "__main__":
    sys.exit(main())
