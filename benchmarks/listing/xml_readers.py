"""What it costs to read a page: our reader, expat, ElementTree (as botocore uses it), and those of other libraries.

    .lab/listing/bin/python -m benchmarks.listing.xml_readers

Each reader makes the same tuples of strings from pages of 1,000 versions; that is checked first. The pages are read in
turn, so that none is still in the processor's caches from the last time. The figure is the CPU time for one version,
the median of nine rounds in which the readers take turns.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias
from xml.etree import ElementTree as ET

from subscriber.adapters.s3.page import FIELDS, RawEntry, unquoted
from subscriber.adapters.s3.xml_flat import read_page
from subscriber.adapters.s3.xml_strict import read_strictly

ENTRIES: Final = 1000
PAGES: Final = 20
ROUNDS: Final = 9
_NAMESPACE: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"

Reader: TypeAlias = Callable[[bytes], list[RawEntry]]


def page(entries: int, seed: int = 1) -> bytes:
    """A page as S3 sends it; every tenth entry is a delete marker."""
    chance = random.Random(seed)
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    ]
    parts.append(
        "<Name>lake</Name><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
    )
    for number in range(entries):
        kind = "Version" if number % 10 else "DeleteMarker"
        parts.append(
            f"<{kind}><Key>lake/date%3D2026-11-{chance.randrange(10, 30)}/part-{number:08}.parquet</Key>"
            f"<VersionId>{chance.randbytes(16).hex()}</VersionId><IsLatest>true</IsLatest>"
            f"<LastModified>2026-11-29T09:{chance.randrange(10, 60)}:{chance.randrange(10, 60)}.000Z</LastModified>"
        )
        if kind == "Version":
            parts.append(f"<ETag>&quot;{chance.randbytes(16).hex()}&quot;</ETag><Size>{chance.randrange(10**9)}</Size>")
            parts.append("<StorageClass>STANDARD</StorageClass>")
        parts.append(f"<Owner><ID>{'a' * 64}</ID></Owner></{kind}>")
    return ("".join(parts) + "</ListVersionsResult>").encode()


def _entry(kind: str, texts: dict[str, str]) -> RawEntry:
    texts["ETag"] = unquoted(texts.get("ETag", ""))
    return (kind, *(texts.get(field, "") for field in FIELDS))


def _from_tree(root: Any) -> list[RawEntry]:
    cut = len(_NAMESPACE)
    return [
        _entry(child.tag[cut:], {leaf.tag[cut:]: leaf.text or "" for leaf in child})
        for child in root
        if child.tag[cut:] in {"Version", "DeleteMarker"}
    ]


def _lxml_pull(content: bytes) -> list[RawEntry]:
    from lxml import etree  # noqa: PLC0415 – not everyone has it

    parser = etree.XMLPullParser(tag=(f"{_NAMESPACE}Version", f"{_NAMESPACE}DeleteMarker"))
    parser.feed(content)
    parser.close()
    cut = len(_NAMESPACE)
    return [
        _entry(child.tag[cut:], {leaf.tag[cut:]: leaf.text or "" for leaf in child})
        for _, child in parser.read_events()
    ]


def _selectolax(content: bytes) -> list[RawEntry]:
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 – not everyone has it

    names = {field.lower(): field for field in FIELDS}
    kinds = {"version": "Version", "deletemarker": "DeleteMarker"}
    return [
        _entry(
            kinds[child.tag],
            {names[leaf.tag]: leaf.text() for leaf in child.iter() if leaf.tag in names},
        )
        for child in LexborHTMLParser(content.decode()).css("version, deletemarker")
    ]


def _lxml_tree(content: bytes) -> list[RawEntry]:
    from lxml import etree  # noqa: PLC0415 – not everyone has it

    return _from_tree(etree.fromstring(content))


READERS: Final[dict[str, Reader]] = {
    "patterns, expat for the envelope (ours)": lambda content: list(read_page(content).entries),
    "expat alone (ours, for other forms)": lambda content: list(read_strictly(content).entries),
    "xml.etree.ElementTree": lambda content: _from_tree(ET.fromstring(content)),
    "lxml, tree": _lxml_tree,
    "lxml, XMLPullParser": _lxml_pull,
    "selectolax (an HTML parser)": _selectolax,
}


def _usable(content: bytes) -> Iterator[tuple[str, Reader]]:
    """The readers that are installed and right."""
    expected = list(read_strictly(content).entries)
    for name, reader in READERS.items():
        try:
            is_right = reader(content) == expected
        except ImportError:
            print(f"{name}: not installed (make .lab/listing/.ready)")
            continue
        if is_right:
            yield name, reader
        else:
            print(f"{name}: gives other entries")


def main() -> None:
    """Print microseconds of CPU for one entry by each reader."""
    pages = [page(ENTRIES, seed) for seed in range(PAGES)]
    readers = dict(_usable(pages[0]))
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(ROUNDS):
        for name, reader in readers.items():
            start = time.process_time()
            for content in pages:
                reader(content)
            seconds[name].append((time.process_time() - start) / PAGES)
    for name, rounds in seconds.items():
        print(f"{name:42} {statistics.median(rounds) / ENTRIES * 1e6:6.2f} µs")


if __name__ == "__main__":
    main()
