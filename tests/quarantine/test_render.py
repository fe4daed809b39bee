"""The texts of `subscriber quarantine`: plain lines, and no control character of a body reaches the terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from functools import partial

import msgspec
import pytest

from subscriber.adapters.postgres.quarantine import QuarantinedMessage
from subscriber.events.decode import decode
from subscriber.quarantine.progress import Progress, progress_text
from subscriber.quarantine.render import message_text, messages_text, nothing_text, printable, tally_text
from subscriber.quarantine.replay import Tally, message_of
from tests.e2e.environment import put_body

MOMENT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def quarantined(body: str, **fields: object) -> QuarantinedMessage:
    """A message with this body."""
    whole = {"queue": "https://q/1/events", "message_id": "m", "reason": "not_json", "detail": "a word"} | fields
    return QuarantinedMessage(
        **whole,  # type: ignore[arg-type]  # the values fit
        body=body.encode(),
        receive_count=2,
        quarantined_at=MOMENT,
        replayed_at=None,
        replayed_by=None,
    )


def a_tally(tally: Tally | None = None) -> Tally:
    """A tally in the middle of a replay."""
    tally = tally or Tally()
    tally.seen, tally.replayed = 250, 240
    tally.rejected["not_json"] = 10
    return tally


def test_a_message_and_its_decoding() -> None:
    """The facts, the result of decoding it now, and the body."""
    message = quarantined(put_body("a.txt"))
    lines = list(message_text(message, decode(message_of(message))))
    assert "today        would be written: lake/a.txt present" in lines
    assert "reason       not_json: a word" in lines
    assert lines[-1] == put_body("a.txt")


@pytest.mark.parametrize(("count", "text"), [(1, "once"), (2, "2 times")])
def test_the_number_of_receives(count: int, text: str) -> None:
    """One receive is once."""
    message = msgspec.structs.replace(quarantined("{}"), receive_count=count)
    assert f"received     {text}" in list(message_text(message, decode(message_of(message))))


def test_a_body_cannot_control_the_terminal() -> None:
    """Escape sequences, bells and bidirectional marks are shown escaped."""
    hostile = "\x1b[2J\x07\u202egpj.exe\r"
    message = quarantined(hostile, detail=hostile, message_id=hostile)
    for line in (*messages_text([message]), *message_text(message, decode(message_of(message)))):
        assert line.isprintable()
    assert printable("é\x1b") == "é\\x1b"


def test_no_message() -> None:
    """An empty quarantine gives a sentence."""
    assert nothing_text([]) == "no message is in quarantine"


@pytest.mark.parametrize(
    ("dry_run", "first"),
    [
        (True, "240 of 250 messages would be replayed; nothing was written"),
        (False, "240 of 250 messages replayed, 0 rows were newer than the index"),
    ],
)
def test_the_end_of_a_replay(dry_run: bool, first: str) -> None:
    """The result, or that of a dry run, and how many messages still wait, by reason."""
    assert list(tally_text(a_tally(), dry_run=dry_run)) == [first, "10 still rejected: not_json"]


def test_progress_text() -> None:
    """Messages, rate and remaining time."""
    text = progress_text(1000, a_tally(), 5.0)
    assert text == "250 of 1000 (25 %): 240 replayed, 10 still rejected; 50/s, 15 s left"
    assert progress_text(0, Tally(), 0.0) == "0 of 0 (100 %): 0 replayed, 0 still rejected; 0/s, 0 s left"


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Always."""
        return True


def test_progress_off_a_terminal_is_a_line_every_few_seconds() -> None:
    """Few lines, fit for a log."""
    stream, now = io.StringIO(), [0.0]
    progress = Progress(stream, partial(progress_text, 1000), lambda: now[0])
    for second in range(12):
        now[0] = float(second)
        progress.show(a_tally())
    progress.end()
    assert len(stream.getvalue().splitlines()) == 2
    assert "\r" not in stream.getvalue()


def test_progress_on_a_terminal_is_one_line() -> None:
    """The line is rewritten, and cleared at the end."""
    stream, now = Terminal(), [0.0]
    progress = Progress(stream, partial(progress_text, 1000), lambda: now[0])
    for tenth in range(10):
        now[0] = tenth / 10
        progress.show(a_tally())
    progress.end()
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().count("\r250 of 1000") == 4
    assert stream.getvalue().endswith(" \r")
