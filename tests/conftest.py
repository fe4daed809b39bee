"""Fixtures and event loops for all tests: PostgreSQL, LocalStack, the SQS emulator, and virtual time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping

import hypothesis
import pytest
import uvloop

from tests.fakes.virtual_time import VirtualTimeLoop

pytest_plugins = [
    "tests.fixtures.aws",
    "tests.fixtures.log",
    "tests.fixtures.postgres",
    "tests.fixtures.queues",
    "tests.fixtures.s3",
    "tests.repo.slowest_files",
]

hypothesis.settings.register_profile(
    "subscriber",
    deadline=None,  # no test depends on timing: machines are busy with other work
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("subscriber")

IN_VIRTUAL_TIME = (
    "tests/flow/",
    "tests/pipeline/",
    "tests/control/",
    "tests/adapters/ecs/test_protection.py",
    "tests/reconcile/test_listing_wait.py",
    "tests/reconcile/test_range_pass.py",
)

LONG = ("tests/config/test_existing_bucket_page.py", "tests/benchmarks/", "tests/e2e/")
"""Files that take longest. They come first: whole files are given out in this order, and one that begins last would run
alone. By itself pytest-xdist would give out the files with fewest tests last, which are the longest ones."""

ON_BOTH_LOOPS = (
    "tests/adapters/aws/test_http_",
    "tests/adapters/postgres/test_addresses.py",
    "tests/admin/test_connections.py",
    "tests/admin/test_server.py",
)
"""The daemon runs on uvloop, whose transports differ from asyncio's."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Stages and mechanisms run in virtual time, everything with a socket in real time."""
    if item.nodeid.startswith(IN_VIRTUAL_TIME):
        return {"virtual": VirtualTimeLoop}
    if item.nodeid.startswith(ON_BOTH_LOOPS):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"real": asyncio.new_event_loop}


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Turn coverage off, in this process and in child processes: for slow tests whose lines other tests cover.

    The marker of pytest-cov does not work in a worker of xdist, where coverage has been started twice.
    """
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "")
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)
