"""The hostile keys are keys that S3 accepts."""

from __future__ import annotations

from random import Random

from testkit.s3.keys import HOSTILE_KEYS, MAX_KEY_BYTES, random_key


def test_hostile_keys_are_valid() -> None:
    """Each is distinct, has 1 to 1,024 bytes of UTF-8, and neither U+0000 nor parts that clients remove."""
    assert len(set(HOSTILE_KEYS)) == len(HOSTILE_KEYS)
    for key in HOSTILE_KEYS:
        assert 1 <= len(key.encode()) <= MAX_KEY_BYTES
        assert "\x00" not in key
        assert {".", ".."}.isdisjoint(key.split("/"))
    assert max(len(key.encode()) for key in HOSTILE_KEYS) == MAX_KEY_BYTES


def test_random_keys_are_valid_and_of_all_kinds() -> None:
    """The same seed gives the same keys; together they have control characters, spaces, slashes, and four bytes."""
    keys = [random_key(Random(seed)) for seed in range(500)]
    assert keys == [random_key(Random(seed)) for seed in range(500)]
    assert all(1 <= len(key.encode()) <= 60 and "." not in key and "\x00" not in key for key in keys)
    everything = "".join(keys)
    assert {"/", "+", "%", " ", '"'} <= set(everything)
    assert any(character < " " for character in everything)
    assert any(character >= "\U00010000" for character in everything)
