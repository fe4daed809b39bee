"""The results of a job as files, in the shape in which Step Functions' ResultWriter leaves those of a Distributed Map.

`manifest.json` names the files of each status, and each file is a JSON array of what became of the ranges:

```
{"DestinationBucket": …, "MapRunArn": …, "ResultFiles": {"FAILED": [], "PENDING": [], "SUCCEEDED": [{"Key", "Size"}]}}
{"ExecutionArn", "Input", "InputDetails": {"Included"}, "Name", "Output" or "Error" and "Cause", "OutputDetails",
 "RedriveCount", "RedriveStatus", "StartDate", "Status", "StopDate"}
```

So what reads the results of a Map Run reads ours. `Input` and `Output` are JSON inside of a text, as there. Of a range
that was never begun there are only `Input`, `InputDetails` and `Status`. `MapRunArn` is our name of the job, and
`ExecutionArn` that of the range. We add `ItemCounts`, the counters of DescribeMapRun, so that a reader need not add up
the files. Sources: Step Functions developer guide, "ResultWriter (Map)" and "Redriving Map Runs"; API reference,
MapRunItemCounts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias

import msgspec

from subscriber.errors import ListingError
from subscriber.model import KeyRange

Status: TypeAlias = Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING"]
"""Of a range, in the words of Step Functions."""
FileStatus: TypeAlias = Literal["SUCCEEDED", "FAILED", "PENDING"]

FILE_STATUSES: Final[Mapping[Status, FileStatus]] = {
    "SUCCEEDED": "SUCCEEDED",
    "FAILED": "FAILED",
    "TIMED_OUT": "FAILED",
    "ABORTED": "FAILED",
    "PENDING": "PENDING",
}
"""Where a status is written: the files FAILED hold all that ended without success."""
FILE_BYTES: Final = 16 * 1024 * 1024
"""Of one result file, about: it is built in memory. Step Functions' own limit is 5 GB."""

_COUNTERS: Mapping[Status, str] = {
    "SUCCEEDED": "Succeeded",
    "FAILED": "Failed",
    "TIMED_OUT": "TimedOut",
    "ABORTED": "Aborted",
    "PENDING": "Pending",
}
_MANIFEST = "manifest.json"


class Outcome(msgspec.Struct, frozen=True):
    """What became of one range."""

    name: str
    """Unique in its job."""
    input: Mapping[str, Any]
    """What was asked for, as `range_input` makes it."""
    status: Status
    output: Mapping[str, Any] | None = None
    """Counters of a range that succeeded."""
    error: str = ""
    """Code of a failure."""
    cause: str = ""
    """Its sentence."""
    started_at: float | None = None
    """Unix seconds; None if the range was never begun."""
    stopped_at: float | None = None
    redrive_count: int = 0
    """How often it was begun anew after a failure."""


class ResultFile(msgspec.Struct, frozen=True):
    """One file of the results."""

    key: str
    body: bytes


class ObjectWriter(Protocol):
    """Writes whole objects below one place: a folder, or a bucket."""

    async def write(self, key: str, body: bytes) -> None:
        """Create or replace the object."""
        ...


def range_input(bucket: str, keys: KeyRange) -> dict[str, Any]:
    """A range as JSON: `{"Bucket", "After", "UpTo"}`, the last null where the range has no end."""
    return {"Bucket": bucket, "After": keys.after, "UpTo": keys.upto}


def range_of(given: Mapping[str, Any]) -> tuple[str, KeyRange]:
    """Bucket and keys of a range's JSON.

    Raises:
        ListingError: it has not the members of `range_input`.
    """
    try:
        written = msgspec.convert(given, _Range)
    except msgspec.ValidationError as error:
        raise ListingError("InvalidRange", f"{given!r} is no range of keys: {error}", is_permanent=True) from error
    return written.bucket, KeyRange(written.after, written.up_to)


def result_files(prefix: str, outcomes: Iterable[Outcome], file_bytes: int = FILE_BYTES) -> Iterator[ResultFile]:
    """The files `SUCCEEDED_0.json`, `FAILED_0.json` … of the outcomes, each as soon as it is full.

    Args:
        prefix: Before each key; ends in a slash or is empty.
        outcomes: In any order; one file of each status is held in memory.
        file_bytes: After how many bytes a file is full.
    """
    files: dict[FileStatus, _OpenFile] = {}
    for outcome in outcomes:
        status = FILE_STATUSES[outcome.status]
        file = files.setdefault(status, _OpenFile(prefix, status))
        if full := file.add(outcome, file_bytes):
            yield full
    yield from filter(None, (file.close() for file in files.values()))


def manifest_file(
    prefix: str, *, job: str, destination_bucket: str, files: Iterable[tuple[str, int]], counts: Mapping[Status, int]
) -> ResultFile:
    """manifest.json.

    Args:
        prefix: As of `result_files`.
        job: What `MapRunArn` says: our name of the job.
        destination_bucket: Where the files are; empty for a folder.
        files: Key and bytes of each result file.
        counts: How many ranges have each status.
    """
    listed: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for key, size_bytes in files:
        listed[_status_of(key)].append({"Key": key, "Size": size_bytes})
    counters = {name: counts.get(status, 0) for status, name in _COUNTERS.items()}
    body = {
        "DestinationBucket": destination_bucket,
        "MapRunArn": job,
        "ResultFiles": listed,
        "ItemCounts": counters | {"Total": sum(counters.values())},
    }
    return ResultFile(prefix + _MANIFEST, msgspec.json.format(msgspec.json.encode(body), indent=2))


async def write_results(
    writer: ObjectWriter, prefix: str, outcomes: Iterable[Outcome], *, job: str, destination_bucket: str = ""
) -> str:
    """Write all files, the manifest last, so that a manifest names only what is there; the manifest's key.

    Raises:
        Exception: whatever the writer raises; the manifest is not written then.
    """
    counts: dict[Status, int] = {}
    files: list[tuple[str, int]] = []
    for file in result_files(prefix, _counted(outcomes, counts)):
        await writer.write(file.key, file.body)
        files.append((file.key, len(file.body)))
    manifest = manifest_file(prefix, job=job, destination_bucket=destination_bucket, files=files, counts=counts)
    await writer.write(manifest.key, manifest.body)
    return manifest.key


def unfinished_keys(manifest: bytes) -> tuple[str, ...]:
    """The keys of the files FAILED and PENDING: what a redrive begins anew.

    Raises:
        ListingError: it is no manifest of results.
    """
    try:
        named = msgspec.json.decode(manifest, type=_Manifest).result_files
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ListingError("InvalidManifest", f"it is no manifest of results: {error}", is_permanent=True) from error
    return tuple(file.key for file in (*named.failed, *named.pending))


def inputs_of(body: bytes) -> list[Mapping[str, Any]]:
    """What was asked for in each record of a result file, Step Functions' own included.

    Raises:
        ListingError: it is no result file.
    """
    try:
        records = msgspec.json.decode(body, type=list[_Record])
        return [msgspec.json.decode(record.input, type=dict[str, Any]) for record in records]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ListingError("InvalidManifest", f"it is no file of results: {error}", is_permanent=True) from error


class ResultFolder:
    """An ObjectWriter for a folder of this machine, made where it is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def write(self, key: str, body: bytes) -> None:
        """Write beside the file and rename, so that no reader sees half of it."""
        await asyncio.to_thread(_replace, self._folder / key, body)


class _Range(msgspec.Struct, rename={"bucket": "Bucket", "after": "After", "up_to": "UpTo"}):
    bucket: str
    after: str
    up_to: str | None


class _Listed(msgspec.Struct, rename="pascal"):
    key: str


class _Files(msgspec.Struct, rename="upper"):
    failed: list[_Listed]
    pending: list[_Listed]


class _Manifest(msgspec.Struct, rename="pascal"):
    result_files: _Files


class _Record(msgspec.Struct, rename="pascal"):
    input: str


class _OpenFile:
    """The records of one status that are not yet given away."""

    def __init__(self, prefix: str, status: FileStatus) -> None:
        self._prefix = prefix
        self._status = status
        self._number = 0
        self._records: list[bytes] = []
        self._bytes = 0

    def add(self, outcome: Outcome, file_bytes: int) -> ResultFile | None:
        """The file, if it is full with this outcome."""
        record = msgspec.json.encode(_record(outcome))
        self._records.append(record)
        self._bytes += len(record)
        return self.close() if self._bytes >= file_bytes else None

    def close(self) -> ResultFile | None:
        """The file of what is left; None if nothing is."""
        if not self._records:
            return None
        key = f"{self._prefix}{self._status}_{self._number}.json"
        body = b"[" + b",\n".join(self._records) + b"]"
        self._number, self._records, self._bytes = self._number + 1, [], 0
        return ResultFile(key, body)


def _replace(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(body)
    beside.replace(path)


def _counted(outcomes: Iterable[Outcome], counts: dict[Status, int]) -> Iterator[Outcome]:
    for outcome in outcomes:
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
        yield outcome


def _record(outcome: Outcome) -> dict[str, Any]:
    given = {"Input": _text(outcome.input), "InputDetails": {"Included": True}, "Status": outcome.status}
    if outcome.status == "PENDING" and outcome.started_at is None:
        return given
    ended: dict[str, Any] = (
        {"Output": _text(outcome.output or {}), "OutputDetails": {"Included": True}}
        if outcome.status == "SUCCEEDED"
        else {"Error": outcome.error, "Cause": outcome.cause}
    )
    return {
        "ExecutionArn": outcome.name,
        "Name": outcome.name,
        **given,
        **ended,
        "RedriveCount": outcome.redrive_count,
        # Unlike there, a range may be redriven at any time.
        "RedriveStatus": "NOT_REDRIVABLE" if outcome.status == "SUCCEEDED" else "REDRIVABLE",
        "StartDate": _date(outcome.started_at),
        "StopDate": _date(outcome.stopped_at),
    }


def _text(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _date(second: float | None) -> str | None:
    if second is None:
        return None
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _status_of(key: str) -> str:
    return key.rpartition("/")[2].rpartition("_")[0]
