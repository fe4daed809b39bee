"""The digest of a page of a listing."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from subscriber.model import ListedVersion
from subscriber.reconcile.page_digest import PageDigest, page_digest, page_text

PAGE = [
    ListedVersion("a", "v2", True, True, 5, None, None),
    ListedVersion("a", "v1", False, False, 4, 0, "e"),
    ListedVersion("é", "", False, True, 4, None, None, "STANDARD"),
]


def test_the_text_is_that_of_the_statement() -> None:
    """Four fields, each with its end; neither time nor storage class."""
    text = "a\x1fv2\x1fd\x1f\x1fa\x1fv1\x1f0\x1fe\x1fé\x1f\x1f\x1f\x1f"
    assert page_text(PAGE) == text
    assert page_digest(PAGE) == PageDigest("\x1f", 3, hashlib.sha256(text.encode()).digest())
    assert page_digest([]) == PageDigest("\x1f", 0, hashlib.sha256(b"").digest())


def test_a_separator_on_the_page_leaves_it_to_the_rows() -> None:
    """The text would not say where a field ends."""
    for odd in ("a\x1fb", "\x1f"):
        assert page_digest([*PAGE, ListedVersion(odd, "", False, True, 1, 1, "e")]) is None
        assert page_digest([*PAGE, ListedVersion("z", "", False, True, 1, 1, odd)]) is None


_TEXTS = st.sampled_from(["", "a", "1", "d", "ab", "é"])
_SIZES = st.none() | st.integers(0, 11)
_VERSIONS = st.builds(ListedVersion, _TEXTS, _TEXTS, st.booleans(), st.booleans(), st.integers(0, 1), _SIZES, _TEXTS)
_PAGES = st.lists(_VERSIONS, max_size=3)


def _shown(page: list[ListedVersion]) -> list[tuple[object, ...]]:
    """What counts of a page: of a delete marker only that it is one."""
    return [
        (v.key, v.version_id, "marker") if v.is_marker else (v.key, v.version_id, v.size_bytes, v.etag) for v in page
    ]


@given(_PAGES, _PAGES)
def test_two_pages_have_one_digest_only_if_they_show_the_same(
    first: list[ListedVersion], second: list[ListedVersion]
) -> None:
    """In particular no field runs into the next one."""
    assert (page_digest(first) == page_digest(second)) == (_shown(first) == _shown(second))
