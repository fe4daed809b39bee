"""The limit of open files is raised as far as it may be, and no further than needed."""

from __future__ import annotations

import resource

import pytest

from subscriber.cli.open_files import require_open_files
from subscriber.errors import ConfigurationError
from subscriber.options import open_files_needed
from tests.settings.test_settings import read

UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "then"),
    [
        ((12, 4096), (100, 4096)),
        ((12, 100), (100, 100)),
        ((12, UNLIMITED), (100, UNLIMITED)),
        ((100, 4096), (100, 4096)),
        ((1024, 4096), (1024, 4096)),
        ((UNLIMITED, UNLIMITED), (UNLIMITED, UNLIMITED)),
    ],
)
def test_the_soft_limit_is_raised(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], then: tuple[int, int]
) -> None:
    """Only if it is too low, and only as far as needed."""
    now = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda _: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, changed: now.append(changed))
    require_open_files(100)
    assert now[-1] == then


def test_a_low_hard_limit_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence has both numbers and the remedy."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (12, 99))
    with pytest.raises(
        ConfigurationError, match=r"may open 99 files and connections, but needs 100: raise .*, or rest$"
    ):
        require_open_files(100, "rest")


def test_what_the_daemon_needs_follows_its_settings() -> None:
    """Each poll and each writer is a connection; the defaults fit the usual limit of 1024."""
    few = open_files_needed(read(RECEIVE_MAX_POLLS="10", WRITE_MAX_CONCURRENCY="1"))
    assert open_files_needed(read(RECEIVE_MAX_POLLS="110", WRITE_MAX_CONCURRENCY="5")) == few + 104
    assert open_files_needed(read()) < 1024
