"""The same backlog with a sensor that gives minute means a minute late, as CloudWatch does."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks.governor_live import metrics, series
from benchmarks.governor_live.cloudwatch import INSTANCE
from benchmarks.governor_live.cpu_pinning import describe
from benchmarks.governor_live.environment import DrainResult, LiveEnvironment, live_environment
from benchmarks.governor_live.row_cost import make_rows_expensive
from benchmarks.governor_live.timeline import Action, run_timeline
from benchmarks.loadtest.result import Run
from benchmarks.loadtest.samples import INTERVAL_SECONDS, Meter, Sample, daemon_as_consumer
from testkit.local_stack import READY_SECONDS, running_daemon
from testkit.process import child_process
from testkit.terminal import Screen
from testkit.workload.backlogs import BacklogLoad

DELAYED: Final = "governor-delayed"
QUESTION: Final = "Does the governor settle at the ceiling with minute means that arrive a minute late?"
DELAY_SECONDS: Final = 60.0
MESSAGES: Final = 8_000_000
ENDS: Final = 1_500.0
SETTLED: Final = 900.0
"""From this second on the CPU must stay at the ceiling."""
SAMPLES_PER_SECOND: Final = round(1 / INTERVAL_SECONDS)
"""Only one of them is kept: the report of half an hour is large enough with that."""


def measure_delayed(screen: Screen) -> list[Run]:
    """Runs the scenario, which takes twenty-five minutes.

    Raises:
        ProcessError: a part did not come up, or died.
        LocalPostgresError: PostgreSQL did not come up.
    """
    with live_environment() as environment, _sensor(environment) as settings:
        screen.say(f"  {describe(environment.cores)}")
        parts, load = environment.parts, BacklogLoad("flood", MESSAGES)
        queue_url = parts.make_queue(DELAYED)
        with running_daemon(parts, queue_url, settings) as daemon:
            make_rows_expensive(parts.postgres.url)
            actions = [Action(0, "flood", lambda _: load.attach(parts.client, queue_url))]
            meter = Meter(parts, queue_url, daemon_as_consumer(daemon))
            with environment.watched() as disturbance:
                samples = run_timeline(meter, MESSAGES, actions, ENDS, screen)
            exit_code = daemon.stop()
        control = {**delayed_figures(samples, environment.database_cores), "disturbed_percent": disturbance.percent}
        drained = DrainResult(load, queue_url, samples[::SAMPLES_PER_SECOND], exit_code, control)
        return [environment.checked_run(DELAYED, drained, settings, describe(environment.cores))]


def delayed_figures(samples: Sequence[Sample], cores: float) -> dict[str, float | None]:
    """Figures of a run with the delayed sensor. Pure."""
    mean = series.smoothed(series.seconds_of(samples, cores))
    settled = series.between(mean, SETTLED, ENDS)
    return {
        "settling_seconds": metrics.settling_seconds(mean),
        "overshoot_points": metrics.overshoot_points(mean),
        "within_band_share": metrics.within_band_share(settled),
        "peak_to_peak_points": metrics.peak_to_peak_points(settled),
    }


@contextmanager
def _sensor(environment: LiveEnvironment) -> Iterator[dict[str, str]]:
    """Runs the local CloudWatch; yields the daemon's settings that point to it."""
    postmaster = environment.parts.postgres.process_ids()[0]
    command = [sys.executable, "-m", "benchmarks.governor_live.cloudwatch", "--postmaster", str(postmaster)]
    with child_process("CloudWatch", [*command, "--delay-seconds", str(DELAY_SECONDS)]) as child:
        endpoint = child.read_line(READY_SECONDS).decode().strip()
        yield {
            "SUBSCRIBER_DATABASE_LOAD_SOURCE": "cloudwatch",
            "SUBSCRIBER_DATABASE_INSTANCE_ID": INSTANCE,
            "AWS_ENDPOINT_URL_CLOUDWATCH": endpoint,
            "AWS_ENDPOINT_URL_RDS": endpoint,
        }
