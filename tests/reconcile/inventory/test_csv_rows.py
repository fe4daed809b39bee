"""Values of CSV are those of their columns' types; a value that is not is an error that names its row."""

from __future__ import annotations

import pytest

from subscriber.errors import ListingError
from subscriber.model import ListedVersion
from subscriber.reconcile.inventory import fields
from subscriber.reconcile.inventory.csv_rows import CsvDecoder

COLUMNS = ("bucket", "key", "versionid", "islatest", "isdeletemarker", "size", "lastmodifieddate", "etag")
ROW = ["lake", "k", "v", "true", "false", "7", "2023-11-14T22:13:20.000Z", "e"]


def decoded(*rows: list[str]) -> list[ListedVersion]:
    """The versions of the rows."""
    decoder = CsvDecoder("data/f.csv.gz", COLUMNS, bucket="lake", key_text=fields.url_decoded)
    return decoder.decode("".join(",".join(f'"{value}"' for value in row) + "\n" for row in rows))


def changed(**values: str) -> list[str]:
    """The row with other values, by column."""
    return [values.get(column, value) for column, value in zip(COLUMNS, ROW, strict=True)]


def test_a_row() -> None:
    """All columns of a row."""
    expected = ListedVersion("k", "v", False, True, 1_700_000_000, 7, "e")
    assert decoded(ROW) == [expected]


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("a+b%2Bc", "a b+c"),
        ("a%252Bb", "a%2Bb"),
        ("%E2%82%AC", "€"),
        ("%e2%82%ac", "€"),
        ("000123", "000123"),
        ("NULL", "NULL"),
        ("a%0Ab%00", "a\nb\0"),
        ("a%2Fb/c", "a/b/c"),
    ],
)
def test_keys_are_decoded_once(written: str, key: str) -> None:
    """A space is `+`, everything else in percent signs, and what looks encoded afterwards stays."""
    assert [version.key for version in decoded(changed(key=written))] == [key]


def test_a_delete_marker_has_neither_size_nor_etag() -> None:
    """Whatever the columns of a delete marker hold."""
    (marker,) = decoded(changed(isdeletemarker="true", size="0", etag="d41d8cd98f00b204e9800998ecf8427e"))
    assert (marker.is_marker, marker.size_bytes, marker.etag) == (True, None, None)


def test_empty_values_are_unknown() -> None:
    """An empty version id is the null version, an empty size and ETag are not told, an empty flag is not set."""
    (row,) = decoded(["lake", "k", "", "", "", "", "", ""])
    assert row == ListedVersion("k", "", False, False, 0, None, None)
    assert [version.version_id for version in decoded(changed(versionid="null"))] == [""]


@pytest.mark.parametrize(
    ("written", "second"),
    [
        ("2023-11-14T22:13:20.999Z", 1_700_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T22:13:20", 1_700_000_000),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000),
        ("1969-12-31T23:59:59.500Z", -1),
    ],
)
def test_times_are_cut_to_their_second(written: str, second: int) -> None:
    """A time is UTC unless it names a zone, and is cut to its second as listings have it."""
    assert fields.unix_second(written) == second


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (changed(size="1_000"), "'1_000' is no whole number"),
        (changed(size="-1"), "'-1' is no whole number"),
        (changed(size="\u0663"), "is no whole number"),
        (changed(size="7.0"), "'7.0' is no whole number"),
        (changed(islatest="yes"), "'yes' is neither true nor false"),
        (changed(lastmodifieddate="soon"), "Invalid isoformat string: 'soon'"),
        (changed(key="100%"), "'100%' is not URL-encoded"),
        (changed(key="%zz"), "'%zz' is not URL-encoded"),
        (changed(key="%ff"), "'utf-8' codec"),
        (changed(key="a" * 4000), "the key has 4000 characters"),
        (changed(key=""), "it has no key"),
        (changed(bucket="sea"), "its bucket is 'sea' instead of 'lake'"),
        (ROW[:-1], "it has 7 columns instead of 8"),
        ([*ROW, ""], "it has 9 columns instead of 8"),
    ],
)
def test_another_value_is_an_error(row: list[str], sentence: str) -> None:
    """An error names file, row and value, in one line."""
    with pytest.raises(ListingError) as caught:
        decoded(ROW, row)
    assert str(caught.value).startswith("InvalidRow: row 2 of 'data/f.csv.gz': ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_are_counted_over_blocks() -> None:
    """The number of a row is that of the file, not of the block."""
    decoder = CsvDecoder("f", ("bucket", "key"), bucket="lake", key_text=str, rows_before=1)
    assert len(decoder.decode("lake,a\n\nlake,b\n")) == 2
    with pytest.raises(ListingError, match="row 5 of 'f'"):
        decoder.decode("sea,c\n")


def test_text_behind_a_quotation_mark_is_an_error() -> None:
    """Damaged quotes are not repaired."""
    with pytest.raises(ListingError, match="of 'f': ',' expected after"):
        CsvDecoder("f", ("bucket", "key"), bucket="lake", key_text=str).decode('lake,"a"b\n')
