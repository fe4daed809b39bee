"""Keys: decoded once and strictly if they are encoded, never altered otherwise."""

from __future__ import annotations

from urllib.parse import quote, quote_plus, unquote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from subscriber.events import rejection
from subscriber.events.key import _unquoted_folder, decode_form, is_storable
from testkit.workload import notifications
from tests.events.samples import PROPERTY, body, emission, event_of, reason_of, record

keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=256)


@PROPERTY
@given(keys)
def test_every_encoding_in_use_is_decoded(key: str) -> None:
    """A key survives S3's encoding and those of the emulators."""
    for encoded in (quote_plus(key, safe="/"), quote_plus(key), quote(key)):
        assert decode_form(encoded) == key


def test_an_invalid_key_is_not_cached() -> None:
    """Folders are cached for their files; a thousand folders of a megabyte each would fill the memory."""
    _unquoted_folder.cache_clear()
    assert reason_of(body(record(key="a%20folder/" * 300 + "name"))) == rejection.BAD_KEY
    assert _unquoted_folder.cache_info().currsize == 0
    decode_form("a%20folder/name")
    assert _unquoted_folder.cache_info().currsize == 1


@PROPERTY
@given(st.text(st.sampled_from("%+0123456789aFé/ ü日"), max_size=20))
def test_decoding_is_the_strict_one_of_the_standard_library(text: str) -> None:
    """The faster function equals unquote_plus with errors="strict", failures included."""
    try:
        expected = unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            decode_form(text)
    else:
        assert decode_form(text) == expected


@PROPERTY
@given(keys)
def test_every_key_arrives_in_every_envelope(key: str) -> None:
    """Native or EventBridge, inside SNS or not: the key is the same."""
    sent = emission("ObjectCreated:Put", key=key)
    for envelope in notifications.ENVELOPES:
        assert event_of(notifications.body_of(sent, envelope)).key == key


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("a+b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%20b", "a b"),
        ("a%2520b", "a%20b"),
        ("a%2Fb//c/", "a/b//c/"),
        ("%C3%BC", "ü"),
        ("u%CC%88", "u\u0308"),
        ("%01%7F%EF%BF%BE", "\x01\x7f\ufffe"),
        ("100%", "100%"),
        ("+", " "),
        (" A.TXT", " A.TXT"),
    ],
)
def test_native_keys(encoded: str, key: str) -> None:
    """Decoded once, and neither trimmed, folded nor normalized."""
    assert event_of(body(record(key=encoded))).key == key


@pytest.mark.parametrize("key", ["a%20b", "a+b", "100%", "%FF", "%00"])
def test_bridged_keys_are_plain(key: str) -> None:
    """A key from EventBridge is not decoded: decoding would change it."""
    assert event_of(notifications.eventbridge_body(emission("ObjectCreated:Put", key=key))).key == key


@pytest.mark.parametrize("encoded", ["%FF", "%ED%A0%80", "a%C3", "%C3(", "%00", "a%00b", ""])
def test_keys_that_cannot_be_stored(encoded: str) -> None:
    """Bytes that are not UTF-8 would merge many keys into one row; NUL and the empty key cannot be stored."""
    assert reason_of(body(record(key=encoded))) == rejection.BAD_KEY


@pytest.mark.parametrize("key", ["k" * 1024, "ü" * 512, "日" * 341, "😀" * 256])
def test_longest_keys(key: str) -> None:
    """A legal key of 1,024 bytes is stored."""
    assert event_of(body(record(key=quote_plus(key)))).key == key


@pytest.mark.parametrize("key", ["k" * 1025, "ü" * 513, "日" * 342, "😀" * 257])
def test_longer_keys(key: str) -> None:
    """The limit counts bytes, not characters."""
    assert reason_of(body(record(key=quote_plus(key)))) == rejection.BAD_KEY


def test_bridged_keys_have_the_same_limits() -> None:
    """A plain key is measured too."""
    for key in ("k" * 1025, "a\0b", ""):
        sent = emission("ObjectCreated:Put", key=key)
        assert reason_of(notifications.eventbridge_body(sent)) == rejection.BAD_KEY


@PROPERTY
@given(st.text(st.characters() | st.sampled_from("\0\ud800\udfff"), max_size=12), st.integers(0, 20))
@example(text="\ud800", limit_bytes=20)
def test_storable_is_what_utf8_and_postgresql_allow(text: str, limit_bytes: int) -> None:
    """A storable text encodes to UTF-8 within the limit and has no NUL."""
    try:
        expected = len(text.encode()) <= limit_bytes and "\0" not in text
    except UnicodeEncodeError:
        expected = False
    assert is_storable(text, limit_bytes) == expected
