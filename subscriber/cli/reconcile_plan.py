"""Where a plan is written, and where a task reads its range from: a file, standard output or an object on S3."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

import click

from subscriber.adapters.s3.client import BucketOptions
from subscriber.adapters.s3.objects import OBJECT_BYTES_AT_MOST, S3ObjectReader, S3ObjectWriter
from subscriber.errors import ConfigurationError
from subscriber.events.key import MAX_BUCKET_BYTES, MAX_KEY_BYTES, is_storable
from subscriber.reconcile.plan import PlannedRange, planned_range, range_line

INDEX_VARIABLE: Final = "AWS_BATCH_JOB_ARRAY_INDEX"
"""The number of a child of an array job, from 0 (AWS Batch user guide, "Array jobs")."""
_S3: Final = "s3://"


async def write_plan(place: str, ranges: Sequence[PlannedRange]) -> None:
    """Write a plan as JSON Lines to a file, to `s3://bucket/key`, or with `-` to standard output.

    Raises:
        ConfigurationError: the place names no object, or the file cannot be written.
        ListingError: S3 does not take it.
    """
    text = "".join(f"{range_line(each)}\n" for each in ranges)
    if place == "-":
        click.echo(text, nl=False)
        return
    if place.startswith(_S3):
        bucket, key = _object_of(place)
        async with S3ObjectWriter(BucketOptions(bucket)) as writer:
            await writer.write(key, text.encode("ascii"))
        return
    try:
        await asyncio.to_thread(Path(place).write_text, text, encoding="ascii")
    except OSError as error:
        raise ConfigurationError(f"the plan cannot be written to {place}: {error.strerror}") from error


async def range_of_a_task(text: str) -> PlannedRange:
    """The range that a task is given: a line of a plan, or the place of a plan whose line an array job numbers.

    Raises:
        ConfigurationError: there is no such range; the text says what is wrong.
        ListingError: the plan cannot be read from S3.
    """
    if text.lstrip().startswith("{"):
        return planned_range(text)
    number = os.environ.get(INDEX_VARIABLE, "")
    if not number.isdecimal():
        raise ConfigurationError(
            f"{text!r} is no range of a plan: write a line of it, as in '{{\"Bucket\": …}}'. The place of a plan is "
            f"taken by a child of an array job of AWS Batch only, and {INDEX_VARIABLE} is not set"
        )
    lines = [line for line in (await _read(text)).split("\n") if line.strip()]
    if int(number) >= len(lines):
        raise ConfigurationError(
            f"{INDEX_VARIABLE} is {number}, and the plan {text} has {len(lines)} lines: start an array job of as many "
            "children as it has lines"
        )
    return planned_range(lines[int(number)])


async def _read(place: str) -> str:
    try:
        content = await (_read_object(place) if place.startswith(_S3) else asyncio.to_thread(Path(place).read_bytes))
        return content.decode()
    except OSError as error:
        raise ConfigurationError(f"the plan {place} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{place} is no plan: it is not UTF-8") from error


async def _read_object(place: str) -> bytes:
    bucket, key = _object_of(place)
    content = bytearray()
    async with S3ObjectReader() as reader, aclosing(reader.read(bucket, key)) as parts:
        async for part in parts:
            content += part
            if len(content) > OBJECT_BYTES_AT_MOST:
                raise ConfigurationError(f"{place} is no plan: it has more than {OBJECT_BYTES_AT_MOST} bytes")
    return bytes(content)


def _object_of(place: str) -> tuple[str, str]:
    bucket, _, key = place.removeprefix(_S3).partition("/")
    if not (bucket and key and is_storable(bucket, MAX_BUCKET_BYTES) and is_storable(key, MAX_KEY_BYTES)):
        raise ConfigurationError(f"{place!r} names no object: write s3://BUCKET/KEY")
    return bucket, key
