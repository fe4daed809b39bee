"""The same flood by a sensor of minutes that are told a minute late: CloudWatch's, served in its own shape."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks.governor_live import metrics, series
from benchmarks.governor_live.cloudwatch import INSTANCE
from benchmarks.governor_live.cpu_pinning import told
from benchmarks.governor_live.environment import Drained, LiveEnvironment, plant
from benchmarks.governor_live.row_cost import burden
from benchmarks.governor_live.timeline import Act, follow
from benchmarks.loadtest.result import Run
from benchmarks.loadtest.samples import INTERVAL_SECONDS, Meter, Sample, daemon_as_consumer
from testkit.local_stack import READY_SECONDS, running_daemon
from testkit.process import child_process
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad

DELAYED: Final = "governor-delayed"
QUESTION: Final = "Does the governor find the ceiling, and rest there, by means of minutes that come a minute late?"
DELAY_SECONDS: Final = 60.0
MESSAGES: Final = 8_000_000
ENDS: Final = 1_500.0
SETTLED: Final = 900.0
"""From here on it must be at rest."""
SAMPLES_A_SECOND: Final = round(1 / INTERVAL_SECONDS)
"""Of which one is kept: the report of half an hour is large enough with that."""


def conduct_delayed(screen: Screen) -> list[Run]:
    """Twenty-five minutes of it.

    Raises:
        PartError: a part did not come up, or died.
        LocalPostgresError: PostgreSQL did not come up.
    """
    with plant() as built, _sensor(built) as settings:
        screen.say(f"  {told(built.cores)}")
        parts, load = built.parts, BacklogLoad("flood", MESSAGES)
        queue_url = parts.make_queue(DELAYED)
        with running_daemon(parts, queue_url, settings) as daemon:
            burden(parts.postgres.url)
            acts = [Act(0, "flood", lambda _: load.attach(parts.client, queue_url))]
            meter = Meter(parts, queue_url, daemon_as_consumer(daemon))
            with built.watched() as disturbance:
                samples = follow(meter, MESSAGES, acts, ENDS, screen)
            exit_code = daemon.stop()
        control = {**delayed_figures(samples, built.database_cores), "disturbed_percent": disturbance.percent}
        drained = Drained(load, queue_url, samples[::SAMPLES_A_SECOND], exit_code, control)
        return [built.judged(DELAYED, drained, settings, told(built.cores))]


def delayed_figures(samples: Sequence[Sample], cores: float) -> dict[str, float | None]:
    """What the curve says. Pure."""
    mean = series.smoothed(series.seconds_of(samples, cores))
    rest = series.between(mean, SETTLED, ENDS)
    return {
        "settling_seconds": metrics.settling_seconds(mean),
        "overshoot_points": metrics.overshoot_points(mean),
        "within_band_share": metrics.within_band_share(rest),
        "peak_to_peak_points": metrics.peak_to_peak_points(rest),
    }


@contextmanager
def _sensor(built: LiveEnvironment) -> Iterator[dict[str, str]]:
    """The daemon's settings that lead it to a CloudWatch of ours."""
    postmaster = built.parts.postgres.process_ids()[0]
    command = [sys.executable, "-m", "benchmarks.governor_live.cloudwatch", "--postmaster", str(postmaster)]
    with child_process("CloudWatch", [*command, "--delay-seconds", str(DELAY_SECONDS)]) as child:
        endpoint = child.read_line(READY_SECONDS).decode().strip()
        yield {
            "SUBSCRIBER_DATABASE_LOAD_SOURCE": "cloudwatch",
            "SUBSCRIBER_DATABASE_INSTANCE_ID": INSTANCE,
            "AWS_ENDPOINT_URL_CLOUDWATCH": endpoint,
            "AWS_ENDPOINT_URL_RDS": endpoint,
        }
