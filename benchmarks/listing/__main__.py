"""Compares listers on the same local server: `python -m benchmarks.listing --keys 1000000 --rounds 3`.

The variants take turns, so that all of them see the same machine. CPU is that of the client while it lists; the
server's is shown apart. Programs that are not installed are left out, with the command that installs them. Every
variant must count the same entries, else the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from testkit.s3.buckets import BucketSpec
from testkit.s3.generated import GeneratedPlan
from testkit.s3.launch import ListingServer, local_listing_server

BUCKET: Final = "lake"
WORKERS: Final = 8
_ROOT: Final = Path(__file__).parents[2]
_CLIENTS: Final = Path(__file__).parent / "clients"
_PYTHON: Final = _ROOT / ".lab" / "listing" / "bin" / "python"
_PACKAGES: Final = _ROOT / ".lab" / "listing-node"
_PYTHON_REMEDY: Final = "make .lab/listing/.ready"
_NODE_REMEDY: Final = "mkdir -p .lab/listing-node && cp benchmarks/listing/package.json .lab/listing-node && npm install --prefix .lab/listing-node"  # fmt: skip # noqa: E501 – one command


class Variant(msgspec.Struct, frozen=True):
    """One way to list a bucket."""

    name: str
    command: tuple[str, ...]
    """Without operation and bucket."""
    more: tuple[str, ...] = ()
    """Arguments after them."""
    has_versions: bool = True
    needs: Path | None = None
    """What must be installed."""
    remedy: str = ""
    """The command that installs it."""
    directory: Path = _ROOT


class Figures(msgspec.Struct):
    """What one listing took."""

    entries: int
    seconds: float
    cpu_seconds: float
    """Of the client, without its start."""
    requests: int = 0
    server_cpu_seconds: float = 0.0


class Median(msgspec.Struct):
    """The medians of a variant's rounds."""

    variant: str
    operation: str
    entries: int
    entries_per_second: float
    cpu_seconds_per_million: float
    server_cpu_seconds_per_million: float


def variants() -> list[Variant]:
    """All ways that are compared."""
    ours = (sys.executable, "-m", "benchmarks.listing.clients.ours")
    node = shutil.which("node") or "node"
    return [
        Variant("subscriber", ours, ("1",)),
        Variant(f"subscriber, {WORKERS} workers", ours, (str(WORKERS),)),
        Variant("boto3 paginator", (str(_PYTHON), str(_CLIENTS / "by_boto3.py")), needs=_PYTHON, remedy=_PYTHON_REMEDY),
        Variant("obstore", (str(_PYTHON), str(_CLIENTS / "by_obstore.py")), has_versions=False, needs=_PYTHON,
                remedy=_PYTHON_REMEDY),
        Variant("AWS SDK for JavaScript", (node, str(_CLIENTS / "by_aws_sdk.mjs")),
                needs=_PACKAGES / "node_modules", remedy=_NODE_REMEDY, directory=_PACKAGES),
    ]  # fmt: skip


def installed() -> Iterator[Variant]:
    """The variants whose programs are here."""
    for variant in variants():
        if variant.needs is None or variant.needs.exists():
            yield variant
        else:
            print(f"{variant.name} is left out; to install it: {variant.remedy}", file=sys.stderr)


def list_once(variant: Variant, operation: str, server: ListingServer) -> Figures:
    """Run a variant once.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_ROOT),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": server.endpoint_url,
    }
    before = server.counts().cpu_seconds
    command = [*variant.command, operation, BUCKET, *variant.more]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, cwd=variant.directory)
    figures = msgspec.json.decode(done.stdout, type=Figures)
    figures.server_cpu_seconds = server.counts().cpu_seconds - before
    return figures


def median_of(variant: str, operation: str, rounds: list[Figures]) -> Median:
    """The medians of some rounds."""
    entries = rounds[0].entries
    millions = entries / 1e6
    return Median(
        variant,
        operation,
        entries,
        entries / statistics.median(each.seconds for each in rounds),
        statistics.median(each.cpu_seconds for each in rounds) / millions,
        statistics.median(each.server_cpu_seconds for each in rounds) / millions,
    )


def measure(server: ListingServer, operation: str, rounds: int) -> list[Median]:
    """Let the variants take turns."""
    taking_part = [each for each in installed() if operation == "keys" or each.has_versions]
    figures: dict[str, list[Figures]] = {variant.name: [] for variant in taking_part}
    for _ in range(rounds):
        for variant in taking_part:
            figures[variant.name].append(list_once(variant, operation, server))
    return [median_of(name, operation, each) for name, each in figures.items()]


def table(medians: list[Median]) -> str:
    """The medians as a table in Markdown."""
    lines = [
        "| lister | operation | entries/s | CPU s per million | entries per CPU s | server's CPU s per million |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {each.variant} | {each.operation} | {each.entries_per_second:,.0f} | {each.cpu_seconds_per_million:.1f} "
        f"| {1e6 / each.cpu_seconds_per_million:,.0f} | {each.server_cpu_seconds_per_million:.1f} |"
        for each in medians
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.listing", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--operation", choices=["keys", "versions", "both"], default="both")
    parser.add_argument("--output", type=Path, help="a file for the medians as JSON")
    asked = parser.parse_args(arguments)
    operations = ["keys", "versions"] if asked.operation == "both" else [asked.operation]
    medians: list[Median] = []
    with local_listing_server([BucketSpec(BUCKET, GeneratedPlan(asked.keys))]) as server:
        for operation in operations:
            medians += measure(server, operation, asked.rounds)
    print(table(medians))
    if asked.output:
        asked.output.write_bytes(msgspec.json.format(msgspec.json.encode(medians), indent=1) + b"\n")
    return 0 if all(len({each.entries for each in medians if each.operation == one}) == 1 for one in operations) else 1


if __name__ == "__main__":
    sys.exit(main())
