"""One drain: samples until everything that was offered has left the queue."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.loadtest.samples import INTERVAL_SECONDS, Meter, Sample
from testkit.process import ProcessError
from testkit.terminal import Screen, clock, duration
from testkit.workload.backlogs import BacklogLoad


def drain_backlog(
    meter: Meter, load: BacklogLoad, attach: Callable[[], None], screen: Screen, drain_timeout_seconds: float
) -> list[Sample]:
    """Attaches the backlog and samples until the queue is empty.

    Raises:
        ProcessError: a part died meanwhile.
    """
    before = _take(meter, 0.0, 0)
    attach()
    return [before, *watch(meter, lambda: (load.messages, False), screen, drain_timeout_seconds)]


def watch(
    meter: Meter, offered: Callable[[], tuple[int, bool]], screen: Screen, drain_timeout_seconds: float
) -> list[Sample]:
    """Samples until the queue is empty, or the timeout has passed since the load ended.

    Args:
        meter: takes the samples.
        offered: how many messages were offered so far, and whether more will come.
        screen: shows the progress.
        drain_timeout_seconds: how long after the last message the queue may take to drain.

    Raises:
        ProcessError: a part died meanwhile.
    """
    started, samples, deadline = time.monotonic(), list[Sample](), drain_timeout_seconds
    while True:
        count, is_loading = offered()
        seconds = time.monotonic() - started
        samples.append(_take(meter, seconds, count))
        screen.show(_line(samples))
        if is_loading:
            deadline = seconds + drain_timeout_seconds
        elif not samples[-1].unfinished or seconds > deadline:
            return samples
        _sleep_until(started + len(samples) * INTERVAL_SECONDS)


def _take(meter: Meter, seconds: float, offered: int) -> Sample:
    try:
        return meter.take(seconds, offered)
    except OSError as error:
        raise ProcessError(f"a part of the measurement is gone: {error}") from error


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _line(samples: list[Sample]) -> list[str]:
    """The progress line, with rates over the last second or so."""
    now, earlier = samples[-1], samples[-5 if len(samples) >= 5 else 0]
    since = (now.seconds - earlier.seconds) or INTERVAL_SECONDS
    done = (now.offered - now.unfinished) - (earlier.offered - earlier.unfinished)
    used = {part: (now.cpu_seconds[part] - earlier.cpu_seconds[part]) / since for part in ("consumer", "database")}
    return [
        f"{clock(now.seconds):>5}",
        f"offered {now.offered:>7,}",
        f"queued {now.unfinished:>7,}",
        f"done {done / since:>6,.0f}/s",
        f"age {duration(now.receive_age_seconds):>6}",
        f"CPU {used['consumer']:>4.0%} consumer, {used['database']:>4.0%} database",
    ]
