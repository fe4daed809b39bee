"""A run along a timeline: a sample every 250 ms, and actions at given seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from benchmarks.loadtest.samples import INTERVAL_SECONDS, Meter, Sample
from testkit.process import ProcessError
from testkit.terminal import Screen, clock


class Action(msgspec.Struct, frozen=True):
    """Something that happens at a given second of a run."""

    at_seconds: float
    name: str
    do: Callable[[Sequence[Sample]], None]
    """Called with the samples so far. It delays the next sample, so it must be fast."""


def run_timeline(meter: Meter, offered: int, actions: Sequence[Action], seconds: float, screen: Screen) -> list[Sample]:
    """Takes samples for `seconds` seconds from now, and executes actions when they are due.

    Raises:
        ProcessError: a part of the environment ended.
    """
    started, samples, due = time.monotonic(), list[Sample](), sorted(actions, key=lambda action: action.at_seconds)
    last_action = ""
    while not samples or samples[-1].seconds < seconds:
        now = time.monotonic() - started
        while due and due[0].at_seconds <= now:
            action = due.pop(0)
            action.do(samples)
            last_action = action.name
        try:
            samples.append(meter.take(time.monotonic() - started, offered))
        except OSError as error:
            raise ProcessError(f"a part of the measurement is gone: {error}") from error
        screen.show(_line(samples, last_action))
        time.sleep(max(0.0, started + len(samples) * INTERVAL_SECONDS - time.monotonic()))
    return samples


def _line(samples: Sequence[Sample], last_action: str) -> list[str]:
    now, earlier = samples[-1], samples[-5 if len(samples) >= 5 else 0]
    since = (now.seconds - earlier.seconds) or INTERVAL_SECONDS
    busy = (now.cpu_seconds["database"] - earlier.cpu_seconds["database"]) / since
    ceiling = "" if now.cpu_ceiling_percent is None else f" of {now.cpu_ceiling_percent:.0f}"
    return [
        f"{clock(now.seconds):>5}",
        f"stored {(now.rows - earlier.rows) / since:>6,.0f}/s",
        f"database {100 * busy:>3.0f}{ceiling} %",
        f"limit {now.concurrency_limit:>5.2f}",
        f"lag {now.receive_age_seconds:>4.0f} s",
        last_action,
    ]
