"""What is secret is in no line of the log, in whatever form it stands there."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from subscriber.observe.log import configure, get_logger, hide
from tests.fixtures.log import logged, raised

pytestmark = pytest.mark.usefixtures("own_log")


def test_secrets_are_hidden_wherever_they_are() -> None:
    """A secret is replaced in values, names of nested fields, foreign values and causes of exceptions."""
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


def test_secrets_learned_later_are_hidden_too() -> None:
    """The last eight of them, by the logger that was there before; a new configuration begins anew."""
    stream = io.BytesIO()
    configure("info", "json", secrets=["geheim"], stream=stream)
    log = get_logger()
    for number in (0, *range(8), 0, 8):
        hide(f"rotated-{number}")
    hide("")
    log.info("thing.done", detail="geheim, rotated-0, rotated-1, rotated-8")
    configure("info", "json", stream=stream)
    log.info("thing.done", detail="rotated-8")
    assert [line["detail"] for line in logged(stream)] == ["***, ***, rotated-1, ***", "rotated-8"]


@pytest.mark.parametrize("secret", ["back\\slash", "it's", 'it\'s "both"', 'a "quote"', "line\nbreak", "tab\té"])
def test_secrets_are_hidden_in_the_form_that_quoting_gives_them(secret: str) -> None:
    """As in the repr of an exception, or in JSON that somebody repeats."""
    stream = io.BytesIO()
    configure("info", "json", secrets=[secret], stream=stream)
    error = RuntimeError(f"<{secret}>")
    other = RuntimeError(f"'\"<{secret}>")
    get_logger().info("thing.done", repr=error, other=other, json=json.dumps(f"<{secret}>"), exc_info=error)
    get_logger().info("thing.done", utf8=json.dumps(f"<{secret}>", ensure_ascii=False), plain=[f"<{secret}>"])
    assert [str(line).count("<***>") for line in logged(stream)] == [4, 2]


def test_secret_cannot_spoil_the_frame_of_a_line() -> None:
    """A very short password hides what it must, and leaves time, level and names readable."""
    stream = io.BytesIO()
    configure("info", "json", secrets=["e", ""], stream=stream)
    get_logger().info("thing.done", reason="there")
    (line,) = logged(stream)
    assert (line["level"], line["reason"]) == ("info", "th***r***")
