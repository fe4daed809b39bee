"""The profile: every sample of the working thread counts once, for the innermost component that has a name."""

from __future__ import annotations

import pytest

from benchmarks.loadtest.profile_flood import component_of, shares

LOOP = "run (subscriber/app.py:38);run (asyncio/runners.py:118)"


@pytest.mark.parametrize(
    ("frames", "component"),
    [
        ("_poll (subscriber/pipeline/receive.py:165);decode (subscriber/events/decode.py:20)", "event decoding"),
        (
            "store (subscriber/adapters/postgres/store.py:66);__instancecheck__ (<frozen abc>:119)",
            "database: asyncpg and rows to columns",
        ),
        ("headers (subscriber/adapters/aws/signing.py:60);copy (hmac.py:120)", "signing"),
        ("ask (subscriber/adapters/aws/http_connection.py:61)", "HTTP to the queue"),
        ("wait (subscriber/flow/wakeup.py:31)", "channels and wake-ups"),
        ("open (subscriber/flow/leases.py:100)", "receive, visibility leases"),
        ("extend (subscriber/flow/visibility_extension.py:80)", "receive, visibility leases"),
        ("open (subscriber/flow/breaker.py:100)", "write"),
        ("record (subscriber/pipeline/bisection.py:60)", "write"),
    ],
)
def test_a_sample_counts_for_its_innermost_component(frames: str, component: str) -> None:
    """A library counts for the component that called it, unless it is listed itself."""
    assert component_of(f"{LOOP};{frames}") == component


def test_the_event_loop_gets_what_belongs_to_no_other_component() -> None:
    """Native code that reads sockets has no frame."""
    assert component_of(LOOP) == "event loop and sockets (uvloop)"


def test_the_shares_add_up_and_leave_idle_threads_out() -> None:
    """Samples of threads that wait for a name to be resolved are not work."""
    found = shares(
        [f"{LOOP} 30", f"{LOOP};headers (subscriber/adapters/aws/signing.py:60) 10", "_worker (thread.py:81) 60"]
    )
    assert found == {"event loop and sockets (uvloop)": 0.75, "signing": 0.25}
