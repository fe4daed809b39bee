"""Jobs as text. Keys, names and errors come from elsewhere: what is not printable is escaped for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from subscriber.cli.reconcile_text import counters_text
from subscriber.jobs import Job, JobRange, JobState, Tolerance
from subscriber.quarantine.render import printable, table, time_text
from subscriber.reconcile.job import failures_tolerated

_KEY_CHARACTERS = 60

_SENTENCES: dict[JobState, str] = {
    "running": "its workers go on; if none is left, start one",
    "paused": "its workers let go of their ranges within seconds, and `subscriber jobs resume {id}` lets them go on",
    "cancelled": "its workers end within seconds, and `subscriber jobs redrive {id}` would do what is left",
    "succeeded": "nothing is left to do",
    "failed": "`subscriber jobs redrive {id}` tries its failed ranges again",
}


def jobs_table(jobs: Sequence[Job]) -> Iterator[str]:
    """A line for each job."""
    yield from table(
        [("job", "state", "kind", "what", "ranges", "listed", "drift", "written", "created", "by")]
        + [
            (
                str(job.job_id),
                job.state,
                printable(job.kind),
                _what(job),
                f"{job.ranges.succeeded}/{job.ranges.total}"
                + (f", {job.ranges.failed} failed" if job.ranges.failed else ""),
                str(job.counters.listed),
                str(drift(job)),
                str(job.counters.written),
                time_text(job.created_at),
                printable(job.created_by),
            )
            for job in jobs
        ]
    )


def job_text(job: Job) -> Iterator[str]:
    """All facts about one job."""
    ranges, counters = job.ranges, job.counters
    facts = {
        "job": f"{job.job_id}, {printable(job.kind)} of {_what(job)}{' with repair' if job.options.repair else ''}",
        "state": job.state,
        "created": f"{time_text(job.created_at)} by {printable(job.created_by)}",
        "started": time_text(job.started_at) if job.started_at else "not yet: it waits for a worker",
        "finished": time_text(job.finished_at) if job.finished_at else "no",
        "ranges": (
            f"{ranges.succeeded} of {ranges.total} succeeded, {ranges.running} running, {ranges.pending} pending, "
            f"{ranges.failed} failed"
        ),
        "tolerated": f"{tolerance_text(job.tolerance)} (now {failures_tolerated(ranges.total, job.tolerance)})",
        "concurrency": f"{job.concurrency} ranges at once",
        **counters_text(counters),
    }
    if job.options.inventory:
        facts["inventory"] = printable(job.options.inventory)
    yield from (f"{name:<12} {value}" for name, value in facts.items())


def ranges_table(ranges: Sequence[JobRange]) -> Iterator[str]:
    """A line for each range: its keys, how far it is, who has it, and its error."""
    rows = [("range", "state", "after", "up to", "done up to", "listed", "worker", "error")]
    rows += [
        (
            str(each.number),
            each.state,
            _key(each.keys.after) or "the first key",
            "the end" if each.keys.upto is None else _key(each.keys.upto),
            "" if each.position is None else _key(each.position),
            str(each.counters.listed),
            printable(each.worker or ""),
            printable(each.error or ""),
        )
        for each in ranges
    ]
    yield from table(rows)


def state_text(job_id: int, state: JobState) -> str:
    """What a job's new state means."""
    return f"job {job_id} is {state}: {_SENTENCES[state].format(id=job_id)}"


def tolerance_text(tolerance: Tolerance) -> str:
    """How many ranges may fail."""
    if tolerance.failures is not None:
        return "1 failed range" if tolerance.failures == 1 else f"{tolerance.failures} failed ranges"
    return f"{tolerance.percent or 0:g} % of the ranges failed"


def drift(job: Job) -> int:
    """Versions that differ."""
    return job.counters.missing + job.counters.ghost + job.counters.stale


def _what(job: Job) -> str:
    return printable(f"s3://{job.bucket}/{job.prefix}")


def _key(key: str) -> str:
    """The end of a long key tells more than its beginning."""
    shown = printable(key)
    return shown if len(shown) <= _KEY_CHARACTERS else f"…{shown[1 - _KEY_CHARACTERS :]}"
