"""What an operator sees of the quarantine: plain lines, and no byte of a stranger's that a terminal would obey."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from subscriber.adapters.postgres.quarantine import Kept
from subscriber.events.decode import decode
from subscriber.quarantine.progress import Progress, progress_text
from subscriber.quarantine.render import message_text, messages_text, nothing_text, printable, tally_text
from subscriber.quarantine.replay import Tally, message_of
from tests.e2e.environment import put_body

MOMENT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def kept(body: str, **fields: object) -> Kept:
    """A message of this body."""
    whole = {"queue": "https://q/1/events", "message_id": "m", "reason": "not_json", "detail": "a word"} | fields
    return Kept(**whole, body=body.encode(), receive_count=2, quarantined_at=MOMENT, replayed_at=None, replayed_by=None)  # type: ignore[arg-type]  # as given


def told(tally: Tally | None = None) -> Tally:
    """A tally in the middle of its way."""
    tally = tally or Tally()
    tally.seen, tally.replayed = 250, 240
    tally.refused["not_json"] = 10
    return tally


def test_a_message_and_what_it_means_today() -> None:
    """Facts, verdict and body."""
    message = kept(put_body("a.txt"))
    lines = list(message_text(message, decode(message_of(message))))
    assert "today        would be written: lake/a.txt present" in lines
    assert "reason       not_json: a word" in lines
    assert lines[-1] == put_body("a.txt")


def test_a_body_cannot_command_the_terminal() -> None:
    """Escapes, bells and directions of writing are shown, not sent."""
    hostile = "\x1b[2J\x07\u202egpj.exe\r"
    message = kept(hostile, detail=hostile, message_id=hostile)
    for line in (*messages_text([message]), *message_text(message, decode(message_of(message)))):
        assert line.isprintable()
    assert printable("é\x1b") == "é\\x1b"


def test_no_message() -> None:
    """Nothing to see is said, and what there would be."""
    assert nothing_text([]) == "no message is in quarantine"


@pytest.mark.parametrize(
    ("dry_run", "first"),
    [
        (True, "240 of 250 messages would be replayed; nothing was written"),
        (False, "240 of 250 messages replayed, 0 rows were newer than the index"),
    ],
)
def test_the_end_of_a_replay(dry_run: bool, first: str) -> None:
    """What was done, or would be, and what still waits for which reason."""
    assert list(tally_text(told(), dry_run=dry_run)) == [first, "10 still refused: not_json"]


def test_progress_in_words() -> None:
    """How far, how fast, how long."""
    text = progress_text(told(), 1000, 5.0)
    assert text == "250 of 1000 (25 %): 240 replayed, 10 still refused; 50/s, 15 s left"
    assert progress_text(Tally(), 0, 0.0) == "0 of 0 (100 %): 0 replayed, 0 still refused; 0/s, 0 s left"


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_progress_off_a_terminal_is_a_line_every_few_seconds() -> None:
    """As many as are worth keeping in a log."""
    stream, now = io.StringIO(), [0.0]
    progress = Progress(stream, 1000, lambda: now[0])
    for second in range(12):
        now[0] = float(second)
        progress.show(told())
    progress.end()
    assert len(stream.getvalue().splitlines()) == 2
    assert "\r" not in stream.getvalue()


def test_progress_on_a_terminal_is_one_line() -> None:
    """It rewrites itself, and is gone at the end."""
    stream, now = Terminal(), [0.0]
    progress = Progress(stream, 1000, lambda: now[0])
    for tenth in range(10):
        now[0] = tenth / 10
        progress.show(told())
    progress.end()
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().count("\r250 of 1000") == 4
    assert stream.getvalue().endswith(" \r")
