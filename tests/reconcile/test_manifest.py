"""The results of a job have the shape of a Distributed Map's, and tell a redrive what is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.errors import ListingError
from subscriber.model import KeyRange
from subscriber.reconcile.manifest import (
    FILE_STATUSES,
    Outcome,
    ResultFolder,
    Status,
    inputs_of,
    range_input,
    range_of,
    result_files,
    unfinished_keys,
    write_results,
)

GIVEN = range_input("lake", KeyRange("a", "b"))
DONE = Outcome(
    "range-1", GIVEN, "SUCCEEDED", output={"Listed": 7}, started_at=1_700_000_000.25, stopped_at=1_700_000_001
)
FAILED = Outcome("range-2", GIVEN, "FAILED", error="SlowDown", cause="S3 asks to wait", started_at=1.0, stopped_at=2.0)
PENDING = Outcome("range-3", GIVEN, "PENDING")
TEXT = '{"Bucket":"lake","After":"a","UpTo":"b"}'


DONE_RECORD = {
    "ExecutionArn": "range-1",
    "Name": "range-1",
    "Input": TEXT,
    "InputDetails": {"Included": True},
    "Status": "SUCCEEDED",
    "Output": '{"Listed":7}',
    "OutputDetails": {"Included": True},
    "RedriveCount": 0,
    "RedriveStatus": "NOT_REDRIVABLE",
    "StartDate": "2023-11-14T22:13:20.250Z",
    "StopDate": "2023-11-14T22:13:21.000Z",
}
FAILED_RECORD = {
    "ExecutionArn": "range-2",
    "Name": "range-2",
    "Input": TEXT,
    "InputDetails": {"Included": True},
    "Status": "FAILED",
    "Error": "SlowDown",
    "Cause": "S3 asks to wait",
    "RedriveCount": 0,
    "RedriveStatus": "REDRIVABLE",
    "StartDate": "1970-01-01T00:00:01.000Z",
    "StopDate": "1970-01-01T00:00:02.000Z",
}
PENDING_RECORD = {"Input": TEXT, "InputDetails": {"Included": True}, "Status": "PENDING"}


class Written:
    """A writer that keeps the objects, in the order in which they were written."""

    def __init__(self, fails_at: str = "") -> None:
        self.objects: dict[str, bytes] = {}
        self._fails_at = fails_at

    async def write(self, key: str, body: bytes) -> None:
        """As ObjectWriter."""
        if self._fails_at and self._fails_at in key:
            raise ListingError("AccessDenied", key)
        self.objects[key] = body

    def json(self, key: str) -> Any:
        """An object's contents."""
        return json.loads(self.objects[key])


async def test_the_files_are_those_of_a_distributed_map() -> None:
    """All members, as Step Functions writes them."""
    written = Written()
    outcomes = [DONE, FAILED, PENDING]
    manifest = await write_results(written, "jobs/7/", outcomes, job="job-7", destination_bucket="b")

    assert manifest == "jobs/7/manifest.json"
    assert written.json("jobs/7/SUCCEEDED_0.json") == [DONE_RECORD]
    assert written.json("jobs/7/FAILED_0.json") == [FAILED_RECORD]
    assert written.json("jobs/7/PENDING_0.json") == [PENDING_RECORD]
    assert written.json(manifest) == {
        "DestinationBucket": "b",
        "MapRunArn": "job-7",
        "ResultFiles": {
            status: [{"Key": key, "Size": len(written.objects[key])}]
            for status in ("FAILED", "PENDING", "SUCCEEDED")
            for key in [f"jobs/7/{status}_0.json"]
        },
        "ItemCounts": {"Succeeded": 1, "Failed": 1, "TimedOut": 0, "Aborted": 0, "Pending": 1, "Total": 3},
    }


async def test_a_job_without_ranges_has_a_manifest() -> None:
    """Empty lists, as there: a reader need not ask whether a member exists."""
    written = Written()
    await write_results(written, "", [], job="j")
    assert written.json("manifest.json")["ResultFiles"] == {"FAILED": [], "PENDING": [], "SUCCEEDED": []}


async def test_the_manifest_is_written_last() -> None:
    """A manifest never names a file that could not be written."""
    written = Written(fails_at="FAILED")
    with pytest.raises(ListingError):
        await write_results(written, "", [DONE, FAILED], job="j")
    assert "manifest.json" not in written.objects


@given(st.lists(st.sampled_from(get_args(Status)), max_size=30), st.integers(1, 2000))
def test_each_outcome_is_in_one_file_of_its_status(statuses: list[Status], file_bytes: int) -> None:
    """However many files: every outcome is once in those of its status, which are numbered from zero and bounded."""
    outcomes = [Outcome(str(number), {"n": number}, status) for number, status in enumerate(statuses)]
    files = list(result_files("p/", outcomes, file_bytes))

    found = [(file.key.split("/")[1].split("_")[0], given["n"]) for file in files for given in inputs_of(file.body)]
    assert sorted(found) == sorted((FILE_STATUSES[status], number) for number, status in enumerate(statuses))
    for kind in set(FILE_STATUSES.values()):
        keys = [file.key for file in files if kind in file.key]
        assert keys == [f"p/{kind}_{number}.json" for number in range(len(keys))]
    assert all(len(file.body) < file_bytes + 500 for file in files)


def test_files_are_given_away_as_they_fill() -> None:
    """Memory does not grow with the number of outcomes: a full file comes before the next outcome is asked for."""
    asked = 0

    def outcomes() -> Iterator[Outcome]:
        nonlocal asked
        for number in range(1000):
            asked += 1
            yield Outcome(str(number), GIVEN, "SUCCEEDED")

    next(result_files("", outcomes(), file_bytes=1000))
    assert asked < 10


async def test_a_redrive_reads_what_is_left(tmp_path: Path) -> None:
    """The ranges of the files FAILED and PENDING come back as they were, from a folder."""
    await write_results(ResultFolder(tmp_path), "jobs/7/", [DONE, FAILED, PENDING], job="j")
    keys = unfinished_keys((tmp_path / "jobs/7/manifest.json").read_bytes())

    assert keys == ("jobs/7/FAILED_0.json", "jobs/7/PENDING_0.json")
    ranges = [range_of(given) for key in keys for given in inputs_of((tmp_path / key).read_bytes())]
    assert ranges == [("lake", KeyRange("a", "b"))] * 2
    assert sorted(path.name for path in (tmp_path / "jobs/7").iterdir()) == [
        *("FAILED_0.json", "PENDING_0.json", "SUCCEEDED_0.json", "manifest.json"),
    ]


@given(st.text(max_size=20), st.none() | st.text(max_size=20))
def test_any_keys_survive(after: str, upto: str | None) -> None:
    """Ranges with any Unicode come back as they were, NUL and line separators included."""
    (file,) = result_files("", [Outcome("r", range_input("lake", KeyRange(after, upto)), "FAILED")])
    assert [range_of(given) for given in inputs_of(file.body)] == [("lake", KeyRange(after, upto))]


def test_a_file_of_step_functions_is_read() -> None:
    """The records of a real Map Run, with members that we do not write, tell their inputs."""
    record = {
        "ExecutionArn": "arn:aws:states:eu-central-1:123456789012:execution:Fill/Map:1b1a",
        "Input": TEXT,
        "InputDetails": {"Included": True},
        "Name": "1b1a",
        "RedriveCount": 0,
        "RedriveStatus": "REDRIVABLE_BY_MAP_RUN",
        "StateMachineArn": "arn:aws:states:eu-central-1:123456789012:stateMachine:Fill/Map",
        "Status": "TIMED_OUT",
    }
    assert inputs_of(json.dumps([record]).encode()) == [GIVEN]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"ResultFiles": {"FAILED": []}}'])
def test_another_manifest_is_an_error(body: bytes) -> None:
    """What is no manifest of results is one sentence."""
    with pytest.raises(ListingError, match="no manifest of results"):
        unfinished_keys(body)


@pytest.mark.parametrize("body", [b"", b"{}", b'[{"Status": "FAILED"}]', b'[{"Input": "no JSON"}]', b"[1]"])
def test_another_result_file_is_an_error(body: bytes) -> None:
    """What is no result file is one sentence."""
    with pytest.raises(ListingError, match="no file of results"):
        inputs_of(body)


@pytest.mark.parametrize("given_range", [{}, {"Bucket": "b", "After": 1, "UpTo": None}, {"bucket": "b"}])
def test_another_range_is_an_error(given_range: dict[str, Any]) -> None:
    """An input that is no range of keys is one sentence."""
    with pytest.raises(ListingError, match="is no range of keys"):
        range_of(given_range)
