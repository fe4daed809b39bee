"""Text comes in whole rows, however the bytes are cut and compressed."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscriber.errors import ListingError
from subscriber.reconcile.inventory.text_blocks import ROW_BYTES_AT_MOST, Inflater, RowText

rows = st.lists(st.lists(st.text(st.sampled_from('a,"\n\r é\u2028'), min_size=1, max_size=5), min_size=1, max_size=3))
cuts = st.lists(st.integers(0, 300), max_size=6)


def pieces(body: bytes, at: list[int]) -> list[bytes]:
    """The bytes, cut at some places."""
    places = sorted({0, len(body), *(place for place in at if place < len(body))})
    return [body[start:end] for start, end in pairwise(places)]


def texts(chunks: list[bytes], *, quotes: bool) -> list[str]:
    """All blocks of a file."""
    text = RowText("f", quotes=quotes)
    blocks = [block for chunk in chunks for block in text.feed(chunk)]
    return [*blocks, *text.finish()]


@given(rows, cuts, st.sampled_from(["plain", "gzip", "members"]), st.booleans())
def test_blocks_are_the_rows_of_the_file(written: list[list[str]], at: list[int], how: str, ends: bool) -> None:
    """Every block has whole rows, line breaks between quotation marks and a missing last line break included."""
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(written)
    body = (file.getvalue() if ends else file.getvalue().removesuffix("\n")).encode()
    members = gzip.compress(body[: len(body) // 2]) + gzip.compress(body[len(body) // 2 :])
    stored = {"plain": body, "gzip": gzip.compress(body), "members": members}[how]

    blocks = texts(pieces(stored, at), quotes=True)
    assert "".join(blocks) == body.decode()
    assert [row for block in blocks for row in csv.reader(io.StringIO(block, newline=""), strict=True)] == written


def test_pieces_are_bounded() -> None:
    """However well the bytes are compressed, text comes in pieces of 64 KiB."""
    bomb = gzip.compress(b"a" * 63 + b"\n" * 10_000_000)
    sizes = [len(piece) for piece in Inflater().feed(bomb)]
    assert max(sizes) <= 65_536
    assert sum(sizes) == 10_000_063


def test_a_file_that_ends_early_is_damaged() -> None:
    """A gzip file without its end is an error with the file's name, and so are bytes that are none."""
    body = gzip.compress(b"row\n" * 1000)
    for broken in (body[:-1], body[:-9], body[:20] + b"\0" * 9 + body[29:], body + b"rest"):
        with pytest.raises(ListingError, match="'f' is damaged"):
            texts([broken], quotes=False)


def test_text_that_is_not_utf8_is_damaged() -> None:
    """Bytes that are not UTF-8 are no text: a replacement character would merge two keys."""
    with pytest.raises(ListingError, match="'f' is damaged: 'utf-8' codec"):
        texts([b"a,\xff\n"], quotes=False)


def test_a_quotation_mark_that_is_not_closed_is_an_error() -> None:
    """A row without an end is not collected for ever."""
    with pytest.raises(ListingError, match="is a quotation mark in it not closed"):
        texts([b'"a\n' + b"b\n" * (ROW_BYTES_AT_MOST // 2)], quotes=True)


def test_the_shortest_files() -> None:
    """No bytes are no rows; one byte of gzip's two is text."""
    assert texts([], quotes=False) == []
    assert texts([b"\x1f"], quotes=False) == ["\x1f"]
    assert texts([b"a"], quotes=False) == ["a"]
    with pytest.raises(zlib.error):
        Inflater().finish() or next(Inflater().feed(b"\x1f\x8bno"))
