"""Records: the valid values of each field, and the rejection of others."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from subscriber.events import rejection
from tests.events.samples import ABSENT, EXPECTED, VERSION_ID, body, decoded, event_of, reason_of, record


def test_removal_without_size_and_etag() -> None:
    """A removal carries a key and a sequencer; the rest may be missing."""
    event = event_of(body(record(event_name="ObjectRemoved:Delete", size=ABSENT, eTag=ABSENT, versionId=ABSENT)))
    assert (event.state, event.size_bytes, event.etag, event.version_id) == ("removed", None, None, "")


@pytest.mark.parametrize("version_id", [ABSENT, None, "null", ""])
def test_null_version(version_id: Any) -> None:
    """No version and the version `null` are the same row."""
    assert event_of(body(record(versionId=version_id))).version_id == ""


@pytest.mark.parametrize(
    ("given", "kept"),
    [('"abc"', "abc"), ("abc-12", "abc-12"), ("", None), ('""', None), (None, None), ("e" * 255, "e" * 255)],
)
def test_etag(given: Any, kept: str | None) -> None:
    """The eTag is opaque text without its quotes; an empty one counts as missing."""
    assert event_of(body(record(eTag=given))).etag == kept


@pytest.mark.parametrize("size", [0, 1, 2**63 - 1])
def test_size_within_bounds(size: int) -> None:
    """Every size that fits a bigint is kept."""
    assert event_of(body(record(size=size))).size_bytes == size


@pytest.mark.parametrize("size", [-1, 2**63, 2**64, 10**40])
def test_size_out_of_bounds(size: int) -> None:
    """A size that does not fit a bigint is rejected, not rounded."""
    assert reason_of(body(record(size=size))) == rejection.BAD_SIZE


@pytest.mark.parametrize("size", [1.5, 1.0, True, "1024", [], {}])
def test_size_of_another_type(size: Any) -> None:
    """A size must be an integer, not a value that looks like one."""
    assert reason_of(body(record(size=size))) == rejection.MALFORMED_RECORD


def test_size_beyond_every_number() -> None:
    """Thousands of digits are rejected too."""
    text = body(record(size=77777)).replace("77777", "9" * 5000)
    assert reason_of(text) == rejection.MALFORMED_RECORD


@pytest.mark.parametrize("bucket", ["b" * 255, "B_ü"])
def test_bucket_within_bounds(bucket: str) -> None:
    """Old buckets have long and unusual names."""
    assert event_of(body(record(bucket=bucket))).bucket == bucket


@pytest.mark.parametrize("bucket", ["", "b" * 256, "ü" * 128, "a\0b"])
def test_bucket_out_of_bounds(bucket: str) -> None:
    """A bucket that the column cannot hold is rejected."""
    assert reason_of(body(record(bucket=bucket))) == rejection.BAD_BUCKET


@pytest.mark.parametrize("version_id", ["v" * 1025, "ü" * 513, "a\0b"])
def test_version_id_out_of_bounds(version_id: str) -> None:
    """A version that the column cannot hold is rejected."""
    assert reason_of(body(record(versionId=version_id))) == rejection.BAD_VERSION_ID


def test_version_id_within_bounds() -> None:
    """A version is opaque text of up to 1,024 bytes."""
    assert event_of(body(record(versionId="ü" * 512))).version_id == "ü" * 512


@pytest.mark.parametrize("etag", ["e" * 256, "a\0b"])
def test_etag_out_of_bounds(etag: str) -> None:
    """An eTag that the column cannot hold is rejected."""
    assert reason_of(body(record(eTag=etag))) == rejection.BAD_ETAG


@pytest.mark.parametrize("field", ["eventTime", "eventName", "s3"])
def test_missing_field(field: str) -> None:
    """A record without a required field is rejected."""
    incomplete = record()
    del incomplete[field]
    assert reason_of(body(incomplete)) == rejection.MALFORMED_RECORD


@pytest.mark.parametrize("unusable", ["", "yesterday", "2026-08-02", "1969-12-31T23:59:59Z", "2106-01-01T00:00:00Z"])
def test_unusable_time(unusable: str) -> None:
    """A record without a usable time is rejected: a NULL in the order would make it stale for ever."""
    assert reason_of(body(record(eventTime=unusable))) == rejection.BAD_TIME


def test_missing_version_of_the_schema() -> None:
    """A record without eventVersion is decoded."""
    assert event_of(body(record(eventVersion=ABSENT))) == EXPECTED


@pytest.mark.parametrize("record_like", [None, 5, "x", [], {}, {"eventName": 5}])
def test_not_a_record(record_like: object) -> None:
    """A value that is no record is rejected like one with a missing field."""
    assert reason_of(body(record_like)) == rejection.MALFORMED_RECORD


def test_valid_records_beside_invalid_ones_are_kept() -> None:
    """One invalid record does not affect the others, and the rejection says which one it was."""
    for bad in (record(size=-1), record(size="5"), None, record(event_name="ObjectRemoved:Oddly", size="5")):
        delivery = decoded(body(record(), bad, record(key="c"), record(event_name="ObjectAcl:Put")))
        assert [event.key for event in delivery.events] == ["sales/part 1.parquet", "c"]
        assert delivery.ignored == ("ObjectAcl:Put",)
        assert delivery.rejection is not None
        assert delivery.rejection.detail.startswith("1 of 4 records rejected (2); the first: ")


def test_ignored_events_are_not_validated() -> None:
    """An ignored event is not rejected for a field that is not needed."""
    shapeless = {"eventName": "Replication:OperationNotTracked", "s3": 5}
    delivery = decoded(body(shapeless, {"eventName": "ObjectTagging:Move"}))
    assert (delivery.rejection, delivery.ignored) == (None, ("Replication:OperationNotTracked", "ObjectTagging:*"))


def test_the_first_rejection_gives_the_reason() -> None:
    """Of several rejections the first gives the reason, and the sentence stays short."""
    delivery = decoded(body(*[record(key="%00")] * 500, record(size=-1)))
    assert delivery.rejection is not None
    assert delivery.rejection.reason == rejection.BAD_KEY
    assert delivery.rejection.detail.startswith("501 of 501 records rejected (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …)")
    assert len(delivery.rejection.detail) < 300


def test_quoted_text_is_short_and_plain() -> None:
    """A detail can be stored and shown, whatever the body."""
    delivery = decoded(body(record(eventTime="\u202e\0" * 9999)))
    assert delivery.rejection is not None
    assert delivery.rejection.detail.isascii()
    assert delivery.rejection.detail.isprintable()
    assert len(delivery.rejection.detail) < 1000


def test_repeated_json_names() -> None:
    """Of a repeated field the last one counts, as usual in JSON."""
    text = body(record()).replace('"size": 1024', '"size": 5, "size": 1024')
    assert event_of(text) == EXPECTED


def test_dialect_of_an_emulator_without_sequencer() -> None:
    """A body without sequencer, version, zone or identity, and with slashes encoded, is decoded all the same."""
    bare = {
        "eventVersion": "2.1",
        "eventTime": "2026-08-02T07:51:20.063000",
        "eventName": "ObjectRemoved:Delete",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": "lake", "arn": "arn:aws:s3:::lake"},
            "object": {"key": "sales%2Fpart+1.parquet", "size": 1024, "eTag": EXPECTED.etag},
        },
    }
    delivery = decoded(json.dumps({"Records": [bare]}))
    (event,) = delivery.events
    expected = msgspec.structs.replace(
        EXPECTED,
        version_id="",
        state="removed",
        event_name="ObjectRemoved:Delete",
        sequencer=f"{int(EXPECTED.event_time.timestamp()):08X}".rstrip("0"),
    )
    assert event == expected
    assert delivery.derived_sequencers == 1


def test_constant_sequencer_of_an_emulator() -> None:
    """If every event has the same sequencer, their own times order them."""
    constant = "0055AED6DCD90281E5"
    older = record(sequencer=constant)
    newer = record(sequencer=constant, eventTime="2026-08-02T07:51:21.000Z", event_name="ObjectRemoved:Delete")
    delivery = decoded(body(newer, older))
    assert delivery.derived_sequencers == 2
    assert delivery.events[0].sequencer > delivery.events[1].sequencer
    assert delivery.events[1].version_id == VERSION_ID
