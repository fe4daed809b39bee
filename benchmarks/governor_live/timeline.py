"""A run along a timeline: samples every 250 ms, and acts at their seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from benchmarks.loadtest.samples import INTERVAL_SECONDS, Meter, Sample
from testkit.process import PartError
from testkit.terminal import Screen, clock


class Act(msgspec.Struct, frozen=True):
    """Something that happens."""

    at_seconds: float
    name: str
    do: Callable[[Sequence[Sample]], None]
    """Given the samples so far. The samples wait for it: it has to be quick."""


def follow(meter: Meter, offered: int, acts: Sequence[Act], seconds: float, screen: Screen) -> list[Sample]:
    """Samples from now on for so many seconds, doing what is due.

    Raises:
        PartError: somebody died on the way.
    """
    started, samples, due = time.monotonic(), list[Sample](), sorted(acts, key=lambda act: act.at_seconds)
    word = ""
    while not samples or samples[-1].seconds < seconds:
        now = time.monotonic() - started
        while due and due[0].at_seconds <= now:
            act = due.pop(0)
            act.do(samples)
            word = act.name
        try:
            samples.append(meter.take(time.monotonic() - started, offered))
        except OSError as error:
            raise PartError(f"a part of the measurement is gone: {error}") from error
        screen.show(_line(samples, word))
        time.sleep(max(0.0, started + len(samples) * INTERVAL_SECONDS - time.monotonic()))
    return samples


def _line(samples: Sequence[Sample], word: str) -> list[str]:
    now, earlier = samples[-1], samples[-5 if len(samples) >= 5 else 0]
    since = (now.seconds - earlier.seconds) or INTERVAL_SECONDS
    busy = (now.cpu_seconds["database"] - earlier.cpu_seconds["database"]) / since
    ceiling = "" if now.cpu_ceiling_percent is None else f" of {now.cpu_ceiling_percent:.0f}"
    return [
        f"{clock(now.seconds):>5}",
        f"stored {(now.rows - earlier.rows) / since:>6,.0f}/s",
        f"database {100 * busy:>3.0f}{ceiling} %",
        f"limit {now.concurrency_limit:>5.2f}",
        f"lag {now.lag_seconds:>4.0f} s",
        word,
    ]
