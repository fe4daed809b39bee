"""The command line: failures become sentences and exit codes, and nothing heavy is loaded to say little."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import NoReturn

import pytest
import structlog
from click.testing import CliRunner, Result

import subscriber
from subscriber.cli.main import main
from subscriber.errors import DatabaseError, ExitCode, SchemaError
from subscriber.settings.table import Settings, settings_table
from tests.settings.test_settings import REQUIRED

Arrange = Callable[..., SimpleNamespace]


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Arrange:
    """Puts an application in place of the real one, with the two functions the command line calls."""

    def arrange(**functions: Callable[..., object]) -> SimpleNamespace:
        stand_in = SimpleNamespace(**functions)
        monkeypatch.setitem(sys.modules, "subscriber.app", stand_in)
        monkeypatch.setattr(subscriber, "app", stand_in, raising=False)
        return stand_in

    # The log is set up for the whole process; here that would outlive the test.
    monkeypatch.setattr("subscriber.observe.log.configure", lambda *_: None)
    return arrange


def invoke(*arguments: str, **environment: str) -> Result:
    """Run one command with the required settings."""
    return CliRunner().invoke(main, arguments, env=REQUIRED | environment)


def raising(error: Exception) -> Callable[..., NoReturn]:
    """A function that does nothing but fail."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize("migrate", [False, True])
def test_run_hands_over_settings_and_exits_with_the_code(application: Arrange, *, migrate: bool) -> None:
    """`run` ends with what the application returns."""
    calls: list[tuple[Settings, bool]] = []

    def run(settings: Settings, *, migrate: bool) -> ExitCode:
        calls.append((settings, migrate))
        return ExitCode.STOPPED_LATE

    application(run=run)
    result = invoke("run", *(["--migrate"] if migrate else []))
    assert result.exit_code == ExitCode.STOPPED_LATE
    assert calls == [(Settings.from_environment(REQUIRED), migrate)]


def test_mistakes_are_said_on_stderr_one_line_each(application: Arrange) -> None:
    """Settings that cannot work exit 2 before the application is touched."""
    application(run=raising(AssertionError("not to be called")))
    result = invoke("run", SUBSCRIBER_QUEUE_URLS="", SUBSCRIBER_HTTP_PORT="http")
    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.split()[:2] for line in result.stderr.splitlines()] == [
        ["subscriber:", "SUBSCRIBER_QUEUE_URLS"],
        ["subscriber:", "SUBSCRIBER_HTTP_PORT"],
    ]


def test_our_errors_are_a_sentence_and_a_code(application: Arrange) -> None:
    """What an operator can mend is told in its own words, without a traceback, even from inside a task group."""
    application(run=raising(ExceptionGroup("tasks", [DatabaseError("the database speaks no TLS")])))
    result = invoke("run")
    assert (result.exit_code, result.stderr) == (3, "subscriber: the database speaks no TLS\n")


def test_unexpected_errors_are_logged(application: Arrange) -> None:
    """What nobody foresaw is logged with its traceback and exits 1."""
    error = RuntimeError("nobody foresaw")
    application(run=raising(error))
    with structlog.testing.capture_logs() as lines:
        result = invoke("run")
    assert result.exit_code == 1
    assert lines == [{"event": "daemon.failed", "log_level": "critical", "exc_info": error}]


@pytest.mark.parametrize(
    ("applied", "said"),
    [(["0001_tables", "0002_view"], "applied 0001_tables\napplied 0002_view\n"), ([], "the schema is up to date\n")],
)
def test_migrate_says_what_it_did(application: Arrange, applied: list[str], said: str) -> None:
    """`migrate` names each step, or says that none was needed."""
    application(migrate=lambda _: applied)
    result = invoke("migrate")
    assert (result.exit_code, result.stdout) == (0, said)


def test_migrate_fails_with_its_own_code(application: Arrange) -> None:
    """A schema of another release exits 5."""
    application(migrate=raising(SchemaError("the schema is newer than this release")))
    assert invoke("migrate").exit_code == 5


def test_settings_as_json() -> None:
    """`settings --json` gives every row of the reference."""
    result = invoke("settings", "--json")
    rows = json.loads(result.stdout)
    assert [row["variable"] for row in rows] == [row.variable for row in settings_table()]
    assert all(row["meaning"] and row["takes"] and row["default"] for row in rows)


def test_wrong_usage_exits_as_configuration() -> None:
    """An unknown command or option is a mistake of the one who starts it."""
    assert [invoke(*words).exit_code for words in (["rnu"], ["run", "--migrte"])] == [2, 2]


def test_help_tells_every_exit_code() -> None:
    """Each exit code stands in the help, with its meaning."""
    codes = [line.split()[0] for line in invoke("--help").stdout.partition("Exit codes:")[2].splitlines() if line]
    assert codes == [str(int(code)) for code in ExitCode]


def test_reference_needs_nothing_heavy() -> None:
    """`python -m subscriber settings` loads neither clients nor server nor log."""
    program = (
        "import sys\nfrom subscriber.cli.main import main\nmain(['settings'], standalone_mode=False)\n"
        "print(sorted({'aiobotocore', 'aiohttp', 'asyncpg', 'asyncio', 'structlog'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]"


def test_module_is_the_command() -> None:
    """`python -m subscriber --version` answers under the command's name."""
    done = subprocess.run(
        [sys.executable, "-m", "subscriber", "--version"], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.startswith("subscriber, version ")


def test_the_package_tells_its_version() -> None:
    """`subscriber.__version__` is that of the installed package; any other name it does not have is an error."""
    assert subscriber.__version__ == importlib.metadata.version("subscriber")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = subscriber.nothing
