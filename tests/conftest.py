"""The stage every test may ask for: real PostgreSQL, real LocalStack, the local queue server, and clocks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping

import hypothesis
import pytest
import uvloop

from tests.fakes.virtual_time import VirtualTimeLoop

pytest_plugins = ["tests.fixtures.aws", "tests.fixtures.log", "tests.fixtures.postgres", "tests.fixtures.queues"]

hypothesis.settings.register_profile(
    "house",
    deadline=None,  # nothing timed decides a test: machines are busy with other things, too
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")

ROOMS_WITH_THEIR_OWN_CLOCK = (
    "tests/flow/",
    "tests/pipeline/",
    "tests/control/",
    "tests/adapters/ecs/test_protection.py",
)

ON_BOTH_LOOPS = ("tests/adapters/aws/test_http_",)
"""The daemon runs on uvloop, whose transports are not quite asyncio's."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Rooms and mechanisms are tested in virtual time, everything that touches a socket in real time."""
    if item.nodeid.startswith(ROOMS_WITH_THEIR_OWN_CLOCK):
        return {"virtual": VirtualTimeLoop}
    if item.nodeid.startswith(ON_BOTH_LOOPS):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"real": asyncio.new_event_loop}


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without coverage, here and in the processes that are started: for long work whose lines others cover.

    The marker of pytest-cov for it does not reach a worker of xdist, where coverage has been started twice.
    """
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "")
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)
