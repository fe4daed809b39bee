"""The fast reader of S3's pages gives what expat gives, for every page."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriber.adapters.s3 import xml_flat
from subscriber.adapters.s3.page import RawPage
from subscriber.adapters.s3.xml_flat import read_page
from subscriber.adapters.s3.xml_strict import read_strictly
from subscriber.errors import ListingError

NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
VALUES = {
    "Key": st.text(max_size=12).map(quote_plus),
    "VersionId": st.sampled_from(["null", "3sL4kqtJlcpXroDTDmJ-rmSpXd3dIbrHY", ""]),
    "IsLatest": st.sampled_from(["true", "false"]),
    "LastModified": st.sampled_from(["2009-10-12T17:50:30.000Z", "2026-11-29T09:00:00Z"]),
    "ETag": st.sampled_from(["&quot;fba9dede5f27731c&quot;", '"a-3"', "&#34;b&#34;", "c", '"', "", '""', '"a']),
    "Size": st.integers(0, 5 * 1024**4).map(str),
    "StorageClass": st.sampled_from(["STANDARD", "GLACIER_IR", " STANDARD ", "a]]&gt;b", "&#xD;", "<![CDATA[x]]>"]),
    "ChecksumAlgorithm": st.just("CRC64NVME"),
    "Owner": st.sampled_from(["<ID>75aa57f0</ID><DisplayName>mt d</DisplayName>", "<ID>1</ID>", "<Key>no</Key>", ""]),
    "Unknown": st.sampled_from(["text", "<Deep><Size>9</Size></Deep>"]),
}
FIELDS_OF_ENTRY = st.lists(st.sampled_from(sorted(VALUES)), max_size=10, unique=True)


@st.composite
def entries(draw: st.DrawFn) -> str:
    """A few entries, most of them in one layout."""
    layouts = draw(st.lists(st.tuples(st.sampled_from(["Version", "DeleteMarker", "Contents"]), FIELDS_OF_ENTRY),
                            min_size=1, max_size=3))  # fmt: skip
    space = draw(st.sampled_from(["", "", "", "\n  "]))
    parts = []
    for _ in range(draw(st.integers(0, 6))):
        kind, fields = draw(st.sampled_from(layouts))
        inner = space.join(f"<{field}>{draw(VALUES[field])}</{field}>" for field in fields)
        parts.append(f"<{kind}>{space}{inner}</{kind}>")
    return space.join(parts)


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    """A page as S3 or another store would send it."""
    root = draw(st.sampled_from(["ListVersionsResult", "ListBucketResult"]))
    before = draw(
        st.sampled_from(["", "<Name>lake</Name><EncodingType>url</EncodingType>", "<!-- <Version> -->", "<X/>"])
    )
    between = draw(st.sampled_from(["", "", "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>", "<?p <Version>?>"]))
    after = draw(st.sampled_from(["<IsTruncated>false</IsTruncated>", "", "<Wrap><Version></Version></Wrap>", "\n"]))
    head = draw(st.sampled_from(['<?xml version="1.0" encoding="UTF-8"?>\n', "", '<?xml version="1.0"?>']))
    inner = f"{before}{draw(entries())}{between}{draw(entries())}{after}"
    return f"{head}<{root}{draw(st.sampled_from([NAMESPACE, '']))}>{inner}</{root}>".encode()


def outcome(read: Callable[[bytes], RawPage], content: bytes) -> object:
    """What a reader makes of a page."""
    try:
        page = read(content)
    except ListingError as error:
        return str(error)
    return list(page.entries), dict(page.envelope)


@settings(max_examples=300)
@given(pages())
def test_the_readers_agree_on_pages(content: bytes) -> None:
    """Any layouts, spaces, unknown elements, entities, comments and namespaces."""
    assert outcome(read_page, content) == outcome(read_strictly, content)


@settings(max_examples=300)
@given(pages(), st.data())
def test_the_readers_agree_on_damaged_pages(content: bytes, data: st.DataObject) -> None:
    """Cut at any byte, or with any part replaced: the fast reader takes nothing that expat refuses."""
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(start + 20, len(content))))
    patch = data.draw(st.sampled_from([b"", b"<", b">", b"&", b"</Version>", b"<Version>", b"<!--", b"\0", b"\xff"]))
    damaged = content[:start] if data.draw(st.booleans()) else content[:start] + patch + content[end:]
    assert outcome(read_page, damaged) == outcome(read_strictly, damaged)


def page_of(*entries_of_page: str) -> bytes:
    """A page in S3's own form."""
    return f"<ListVersionsResult{NAMESPACE}>{''.join(entries_of_page)}</ListVersionsResult>".encode()


def test_s3s_own_form_takes_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expat sees one entry of the page, however many there are."""
    version = "<Version><Key>a+b</Key><ETag>&quot;e&quot;</ETag><Size>1</Size><Owner><ID>i</ID></Owner></Version>"
    marker = "<DeleteMarker><Key>a%2Bb</Key><VersionId>v</VersionId></DeleteMarker>"
    seen: list[bytes] = []

    def strictly(content: bytes) -> RawPage:
        seen.append(content)
        return read_strictly(content)

    monkeypatch.setattr(xml_flat, "read_strictly", strictly)
    page = read_page(page_of(version, marker, marker, version))
    first = ("Version", "a+b", "", "", "", "e", "1", "")
    second = ("DeleteMarker", "a%2Bb", "v", "", "", "", "", "")
    assert list(page.entries) == [first, second, second, first]
    assert seen == [page_of(version)]


def long_page() -> bytes:
    """A page of several pieces, whose entries have three layouts and different lengths."""
    parts = []
    for number in range(900):
        key = f"<Key>lake/part-{number:05}-{'x' * (number % 53)}</Key><VersionId>v{number}</VersionId>"
        size = f"<ETag>&quot;e{number}&quot;</ETag><Size>{number}</Size><Owner><ID>{'f' * 64}</ID></Owner>"
        checked = "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>" if number > 700 and number % 3 else ""
        kind, more = ("DeleteMarker", "") if number % 7 == 0 else ("Version", checked + size)
        parts.append(f"<{kind}>{key}{more}</{kind}>")
    return page_of(*parts)


@pytest.mark.parametrize("place", [b"part-00400", b"part-00850", b"part-00899"])
@pytest.mark.parametrize("damage", [b"", b"\0", b"\n", b"&amp;", b"&", b"]", b"]]>", b"<x/>", b"<!-- -->", b"\xc3\xa9"])
def test_the_readers_agree_on_long_pages(damage: bytes, place: bytes) -> None:
    """Whatever stands in a text of whatever piece of a page."""
    content = long_page().replace(place, place + damage)
    assert len(content) > 2 * xml_flat._PIECE
    assert outcome(read_page, content) == outcome(read_strictly, content)


def test_a_long_page_takes_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its pieces: expat sees one entry."""
    lengths: list[int] = []

    def strictly(content: bytes) -> RawPage:
        lengths.append(len(content))
        return read_strictly(content)

    monkeypatch.setattr(xml_flat, "read_strictly", strictly)
    assert len(read_page(long_page()).entries) == 900
    (length,) = lengths
    assert length < 1_000


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"<Error><Code>InternalError</Code><Message>We failed.</Message></Error>", "InternalError: We failed."),
        (b"<html><body>proxy</body></html>", "InvalidPage: its root is html"),
        (
            b"<ListBucketResult><Contents>",
            "InvalidPage: it is not well-formed XML: no element found: line 1, column 28",
        ),
        (b"", "InvalidPage: it is not well-formed XML: no element found: line 1, column 0"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult/>', "InvalidPage: it has a document type"),
        (b"<a>" * 40, "InvalidPage: its elements are nested too deep"),
    ],
)
def test_what_is_no_page_is_an_error(content: bytes, text: str) -> None:
    """S3 may send an error, or invalid XML, with the status 200 (ListObjectVersions, S3 API reference)."""
    with pytest.raises(ListingError) as raised:
        read_page(content)
    assert str(raised.value) == text
