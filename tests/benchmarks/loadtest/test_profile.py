"""A profile's arithmetic: every look at the working thread counts once, for the innermost part that has a name."""

from __future__ import annotations

import pytest

from benchmarks.loadtest.profile_flood import part_of, shares

LOOP = "run (subscriber/app.py:38);run (asyncio/runners.py:118)"


@pytest.mark.parametrize(
    ("frames", "part"),
    [
        ("_poll (subscriber/pipeline/receive.py:165);decode (subscriber/events/decode.py:20)", "what events mean"),
        (
            "store (subscriber/adapters/postgres/store.py:66);__instancecheck__ (<frozen abc>:119)",
            "database: asyncpg and rows to columns",
        ),
        ("headers (subscriber/adapters/aws/signing.py:60);copy (hmac.py:120)", "signing"),
        ("ask (subscriber/adapters/aws/http_connection.py:61)", "HTTP to the queue"),
        ("wait (subscriber/flow/wakeup.py:31)", "channels and waiting"),
        ("open (subscriber/flow/leases.py:100)", "receive, with leases"),
    ],
)
def test_a_look_counts_for_its_innermost_part(frames: str, part: str) -> None:
    """A library counts for the part that called it, unless it has a line of its own."""
    assert part_of(f"{LOOP};{frames}") == part


def test_the_loop_itself_has_what_is_below_no_other_part() -> None:
    """Sockets are read in native code, which has no frame of its own."""
    assert part_of(LOOP) == "event loop and sockets (uvloop)"


def test_the_shares_add_up_and_leave_idle_threads_out() -> None:
    """Looks at threads that wait for a name to be resolved are no work."""
    found = shares(
        [f"{LOOP} 30", f"{LOOP};headers (subscriber/adapters/aws/signing.py:60) 10", "_worker (thread.py:81) 60"]
    )
    assert found == {"event loop and sockets (uvloop)": 0.75, "signing": 0.25}
