"""Compressed or plain bytes into blocks of whole text rows, incrementally and in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from subscriber.errors import ListingError

_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
"""zlib's code for a gzip header and trailer with the largest window."""
_PIECE_BYTES = 64 * 1024
"""Of text at a time: about 400 rows, 2 ms of decoding."""
ROW_BYTES_AT_MOST = 1024 * 1024
"""Our own limit: a row of an inventory has some hundred bytes, and with an access control list some thousand."""


class Inflater:
    """Decompresses gzip, of one or several members, and passes plain bytes on."""

    def __init__(self) -> None:
        self._first = b""
        self._member: zlib._Decompress | None = None
        self._is_plain = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The decompressed bytes of a chunk, in pieces of at most 64 KiB of text.

        Raises:
            zlib.error: the bytes are damaged.
        """
        if not self._is_plain and self._member is None:
            chunk = self._first + chunk
            self._first = chunk if len(chunk) < len(_GZIP) else b""
            if self._first:
                return
            self._is_plain = not chunk.startswith(_GZIP)
        if self._is_plain:
            yield from (chunk[start : start + _PIECE_BYTES] for start in range(0, len(chunk), _PIECE_BYTES))
            return
        while chunk:
            member = self._member = self._member or zlib.decompressobj(_GZIP_WINDOW)
            yield member.decompress(chunk, _PIECE_BYTES)
            chunk = member.unconsumed_tail
            if member.eof:
                # What follows a member is another one; S3's files have one, those of parallel compressors many.
                chunk, self._member = member.unused_data, None

    def finish(self) -> bytes:
        """What is left at the end of the file.

        Raises:
            zlib.error: the file ended inside a member.
        """
        if self._member is not None:
            raise zlib.error("the file ends before its compressed data does")
        return self._first


class RowCutter:
    """Cuts text after its last complete row.

    With `quotes`, a line break between quotation marks ends no row (RFC 4180): outside of them their number is even.
    """

    def __init__(self, *, quotes: bool) -> None:
        self._quotes = quotes
        self._rest = b""

    def feed(self, piece: bytes) -> str:
        """All whole rows so far, with their line breaks; empty if there is none.

        Raises:
            UnicodeDecodeError: they are not UTF-8.
            ListingError: a row is longer than ROW_BYTES_AT_MOST.
        """
        text = self._rest + piece
        cut = text.rfind(b"\n") + 1
        is_open = self._quotes and text.count(b'"', 0, cut) % 2 == 1
        while is_open:
            # The last mark opens what the line break is in: the row ends before it, if the break there is outside.
            earlier = text.rfind(b"\n", 0, text.rfind(b'"', 0, cut)) + 1
            is_open = text.count(b'"', earlier, cut) % 2 == 0
            cut = earlier
        self._rest = text[cut:]
        if len(self._rest) > ROW_BYTES_AT_MOST:
            sentence = f"a row is longer than {ROW_BYTES_AT_MOST} bytes: is a quotation mark in it not closed?"
            raise ListingError("InvalidRow", sentence, is_permanent=True)
        return text[:cut].decode()

    def finish(self) -> str:
        """The last row, if no line break ends it."""
        rest, self._rest = self._rest, b""
        return rest.decode()


class RowText:
    """The text of a file in blocks of whole rows.

    Args:
        name: Of the file, for errors.
        quotes: Whether a row may have line breaks between quotation marks.
    """

    def __init__(self, name: str, *, quotes: bool) -> None:
        self._name = name
        self._inflater = Inflater()
        self._cutter = RowCutter(quotes=quotes)

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The rows that are complete with this chunk.

        Raises:
            ListingError: the bytes are damaged, or no UTF-8.
        """
        try:
            yield from filter(None, map(self._cutter.feed, self._inflater.feed(chunk)))
        except (zlib.error, UnicodeDecodeError) as error:
            raise self._damaged(error) from error

    def finish(self) -> Iterator[str]:
        """The rows that only the end of the file completes.

        Raises:
            ListingError: as `feed`, or the file ended too early.
        """
        try:
            yield from filter(None, (self._cutter.feed(self._inflater.finish()), self._cutter.finish()))
        except (zlib.error, UnicodeDecodeError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> ListingError:
        return ListingError("InvalidFile", f"{self._name!r} is damaged: {error}", is_permanent=True)
