"""No log line contains a secret, in any of its forms."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from subscriber.observe.log import configure, get_logger, redact
from tests.fixtures.log import logged, raised


def test_secrets_are_redacted_everywhere() -> None:
    """A secret is replaced in values, names of nested fields, objects and causes of exceptions."""
    stream = io.BytesIO()
    configure("info", "json", secrets=["geheim", "geheimnis"], stream=stream)
    error = raised(ValueError("wrong password geheimnis"))
    get_logger().info(
        "thing.done",
        url="postgresql://u:geheimnis@h/db",
        nested={"geheim": ["geheim!"]},
        error=error,
        path=Path("/geheim"),
        exc_info=error,
    )
    (line,) = logged(stream)
    assert "geheim" not in json.dumps(line)
    assert line["url"] == "postgresql://u:***@h/db"
    assert line["exception"].endswith("ValueError: wrong password ***")


def test_secrets_learned_later_are_redacted_too() -> None:
    """The last eight of them are, by an existing logger; a new configuration forgets them."""
    stream = io.BytesIO()
    configure("info", "json", secrets=["geheim"], stream=stream)
    log = get_logger()
    for number in (0, *range(8), 0, 8):
        redact(f"rotated-{number}")
    redact("")
    log.info("thing.done", detail="geheim, rotated-0, rotated-1, rotated-8")
    configure("info", "json", stream=stream)
    log.info("thing.done", detail="rotated-8")
    assert [line["detail"] for line in logged(stream)] == ["***, ***, rotated-1, ***", "rotated-8"]


@pytest.mark.parametrize("secret", ["back\\slash", "it's", 'it\'s "both"', 'a "quote"', "line\nbreak", "tab\té"])
def test_secrets_are_redacted_in_quoted_form(secret: str) -> None:
    """As in the repr of an exception, or in JSON inside a value."""
    stream = io.BytesIO()
    configure("info", "json", secrets=[secret], stream=stream)
    error = RuntimeError(f"<{secret}>")
    other = RuntimeError(f"'\"<{secret}>")
    get_logger().info("thing.done", repr=error, other=other, json=json.dumps(f"<{secret}>"), exc_info=error)
    get_logger().info("thing.done", utf8=json.dumps(f"<{secret}>", ensure_ascii=False), plain=[f"<{secret}>"])
    assert [str(line).count("<***>") for line in logged(stream)] == [4, 2]


@pytest.mark.parametrize("secret", ["e", "the"])
def test_a_short_secret_does_not_damage_words(secret: str) -> None:
    """A password of less than four characters is redacted where a URL has it, and nowhere else."""
    stream = io.BytesIO()
    configure("info", "json", secrets=[secret, ""], stream=stream)
    get_logger().info("thing.done", reason="there", url=f"postgresql://me:{secret}@there/lake")
    (line,) = logged(stream)
    assert (line["level"], line["reason"], line["url"]) == ("info", "there", "postgresql://me:***@there/lake")


def test_a_secret_of_four_characters_is_redacted_everywhere() -> None:
    """It is long enough to be no part of most words."""
    stream = io.BytesIO()
    configure("info", "json", secrets=["s3cr"], stream=stream)
    get_logger().info("thing.done", reason="no s3cret")
    assert [line["reason"] for line in logged(stream)] == ["no ***et"]
