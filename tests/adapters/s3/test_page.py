"""The values of a page: decoded once, and refused where they are none of their kind."""

from __future__ import annotations

import pytest

from subscriber.adapters.s3.page import Page, RawEntry, RawPage, decoded_page
from subscriber.errors import ListingError
from subscriber.model import ListedVersion

MODIFIED = "2026-11-29T09:00:01.999Z"
SECOND = 1795942801
ENTRY = ("Version", "a", "null", "true", MODIFIED, "e", "5", "STANDARD")
END = {"IsTruncated": "false"}


def test_keys_and_the_key_marker_are_decoded_once() -> None:
    """A `+` is a space; version ids and tokens are not encoded."""
    entry = ("Version", "a+b%2Bc%C3%A9%250A", "v+%20", "false", MODIFIED, "e", "5", "STANDARD")
    envelope = {
        "EncodingType": "url",
        "IsTruncated": "true",
        "NextKeyMarker": "a+%2B",
        "NextVersionIdMarker": "v+%20",
        "NextContinuationToken": "1+%20=",
    }
    version = ListedVersion("a b+cé%0A", "v+%20", False, False, SECOND, 5, "e", "STANDARD")
    assert decoded_page(RawPage([entry], envelope)) == Page([version], True, "a +", "v+%20", "1+%20=")


def test_without_an_encoding_nothing_is_decoded() -> None:
    """A server may ignore `encoding-type`; then `%41` is a key."""
    page = decoded_page(RawPage([("Contents", "a+%41", "", "", MODIFIED, "", "0", "")], END))
    assert page == Page([ListedVersion("a+%41", "", False, True, SECOND, 0, None, None)], False, "", "", "")


def test_a_delete_marker_has_neither_size_nor_etag() -> None:
    """And `null` is the version id of the null version."""
    entry = ("DeleteMarker", "a", "null", "true", MODIFIED, "", "", "")
    (marker,) = decoded_page(RawPage([entry], END)).entries
    assert marker == ListedVersion("a", "", True, True, SECOND, None, None, None)


@pytest.mark.parametrize(
    ("entry", "envelope", "reason"),
    [
        (ENTRY, {}, "whether the listing goes on"),
        (ENTRY, {"IsTruncated": "maybe"}, "whether the listing goes on"),
        (("Version", "", *ENTRY[2:]), END, "a key of 0 characters"),
        (("Version", "a" * 3073, *ENTRY[2:]), END, "a key of 3073 characters"),
        (("Version", "%FF", *ENTRY[2:]), {**END, "EncodingType": "url"}, "invalid start byte"),
        ((*ENTRY[:4], "yesterday", *ENTRY[5:]), END, "yesterday"),
        ((*ENTRY[:4], "2026-11-29T09:00:01", *ENTRY[5:]), END, "no time zone"),
        ((*ENTRY[:6], "", "STANDARD"), END, "invalid literal"),
    ],
)
def test_a_value_that_is_none_of_its_kind_fails_the_page(
    entry: RawEntry, envelope: dict[str, str], reason: str
) -> None:
    """Nothing is concluded from a page that is not understood whole."""
    with pytest.raises(ListingError, match=reason):
        decoded_page(RawPage([entry], envelope))
