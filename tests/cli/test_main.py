"""The command line: failures become sentences and exit codes; help and reference import nothing heavy."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import NoReturn

import click
import pytest
import structlog
from click.testing import CliRunner, Result

import subscriber
from subscriber.cli import daemon
from subscriber.cli.main import COMMANDS, main
from subscriber.errors import DatabaseError, ExitCode, SchemaError
from subscriber.settings.table import Settings, settings_table
from tests.settings.test_settings import REQUIRED

Arrange = Callable[..., SimpleNamespace]


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Arrange:
    """Replaces the application by the two functions that the command line calls."""

    def arrange(**functions: Callable[..., object]) -> SimpleNamespace:
        stand_in = SimpleNamespace(**functions)
        monkeypatch.setattr(daemon, "app", stand_in)
        if "migrate" in functions:
            monkeypatch.setattr("subscriber.cli.migrate.upgrade", functions["migrate"])
        return stand_in

    # The log is configured for the whole process, which would outlive the test.
    monkeypatch.setattr("subscriber.cli.environment.configure", lambda *_: None)
    return arrange


def invoke(*arguments: str, **environment: str) -> Result:
    """Run one command with the required settings."""
    return CliRunner().invoke(main, arguments, env=REQUIRED | environment)


def raising(error: Exception) -> Callable[..., NoReturn]:
    """A function that only raises."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize("migrate", [False, True])
def test_run_passes_settings_and_exits_with_the_code(application: Arrange, *, migrate: bool) -> None:
    """`run` exits with what the application returns."""
    calls: list[tuple[Settings, bool]] = []

    def run(settings: Settings, *, migrate: bool) -> ExitCode:
        calls.append((settings, migrate))
        return ExitCode.STOPPED_LATE

    application(run=run)
    result = invoke("run", *(["--migrate"] if migrate else []))
    assert result.exit_code == ExitCode.STOPPED_LATE
    assert calls == [(Settings.from_environment(REQUIRED), migrate)]


def test_mistakes_are_one_line_each_on_stderr(application: Arrange) -> None:
    """Invalid settings exit 2 before the application is called."""
    application(run=raising(AssertionError("not to be called")))
    result = invoke("run", SUBSCRIBER_QUEUE_URLS="", SUBSCRIBER_HTTP_PORT="http")
    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.split()[:2] for line in result.stderr.splitlines()] == [
        ["subscriber:", "SUBSCRIBER_QUEUE_URLS"],
        ["subscriber:", "SUBSCRIBER_HTTP_PORT"],
    ]


def test_a_failed_start_is_one_line_of_the_log_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """On stdout as JSON, where an alarm finds the exit code; the sentence goes to stderr as ever."""
    monkeypatch.setattr(daemon, "app", SimpleNamespace(run=raising(ExceptionGroup("", [SchemaError("too new")]))))
    failed = invoke("run")
    (line,) = map(json.loads, failed.stdout.splitlines())
    assert (failed.exit_code, failed.stderr) == (5, "subscriber: too new\n")
    assert {name: line[name] for name in line if name != "timestamp"} == {
        "level": "error",
        "event": "daemon.ended",
        "exit_code": 5,
        "meaning": "schema",
        "detail": "too new",
    }
    wrong = invoke("run", SUBSCRIBER_HTTP_PORT="http", SUBSCRIBER_LOG_FORMAT="JSON")
    (line,) = map(json.loads, wrong.stdout.splitlines())
    assert (wrong.exit_code, line["exit_code"], line["meaning"]) == (2, 2, "configuration")
    assert wrong.stderr == f"subscriber: {line['detail']}\n"


def test_a_console_shows_a_failed_start_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without JSON there is only the sentence on stderr; another command than `run` logs no end of a daemon."""
    monkeypatch.setattr(daemon, "app", SimpleNamespace(run=raising(SchemaError("too new"))))
    monkeypatch.setattr("subscriber.cli.migrate.upgrade", raising(SchemaError("too new")))
    for words, log_format in ((["run"], "console"), (["migrate"], "json")):
        failed = invoke(*words, SUBSCRIBER_LOG_FORMAT=log_format)
        assert (failed.exit_code, failed.stdout, failed.stderr) == (5, "", "subscriber: too new\n")
    wrong = invoke("run", SUBSCRIBER_HTTP_PORT="http", SUBSCRIBER_LOG_FORMAT="console")
    assert (wrong.exit_code, wrong.stdout) == (2, "")


def test_migrate_needs_no_queue(application: Arrange) -> None:
    """The owner of the schema runs it from any machine; `run` and `check` still need the queues."""
    settings: list[Settings] = []

    def migrate(given: Settings) -> list[str]:
        settings.append(given)
        return []

    application(migrate=migrate, run=raising(AssertionError("not to be called")))
    assert invoke("migrate", SUBSCRIBER_QUEUE_URLS="").exit_code == 0
    assert settings[0].queue_urls == ()
    for command in ("run", "check"):
        result = invoke(command, SUBSCRIBER_QUEUE_URLS="")
        assert (result.exit_code, "SUBSCRIBER_QUEUE_URLS is required" in result.output) == (2, True)


def test_our_errors_are_a_sentence_and_a_code(application: Arrange) -> None:
    """An error that an operator can fix is one sentence without a traceback, even from inside a task group."""
    application(run=raising(ExceptionGroup("tasks", [DatabaseError("the database speaks no TLS")])))
    result = invoke("run")
    assert (result.exit_code, result.stderr) == (3, "subscriber: the database speaks no TLS\n")


def test_unexpected_errors_are_logged(application: Arrange) -> None:
    """Any other exception is logged with its traceback and exits 1."""
    error = RuntimeError("unexpected")
    application(run=raising(error))
    with structlog.testing.capture_logs() as lines:
        result = invoke("run")
    assert result.exit_code == 1
    assert lines == [{"event": "daemon.failed", "log_level": "critical", "exc_info": error}]


@pytest.mark.parametrize(
    ("applied", "output"),
    [(["0001_tables", "0002_view"], "applied 0001_tables\napplied 0002_view\n"), ([], "the schema is up to date\n")],
)
def test_migrate_prints_what_it_did(application: Arrange, applied: list[str], output: str) -> None:
    """`migrate` prints each migration it applied, or that none was needed."""
    application(migrate=lambda _: applied)
    result = invoke("migrate")
    assert (result.exit_code, result.stdout) == (0, output)


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
    """An unknown command or option exits like invalid settings."""
    assert [invoke(*words).exit_code for words in (["rnu"], ["run", "--migrte"])] == [2, 2]


def test_help_lists_every_exit_code() -> None:
    """Each exit code is in the help."""
    codes = [line.split()[0] for line in invoke("--help").stdout.partition("Exit codes:")[2].splitlines() if line]
    assert codes == [str(int(code)) for code in ExitCode]


def test_reference_needs_nothing_heavy() -> None:
    """`python -m subscriber settings` imports neither clients nor server nor log."""
    program = (
        "import sys\nfrom subscriber.cli.main import main\nmain(['settings'], standalone_mode=False)\n"
        "print(sorted({'aiobotocore', 'aiohttp', 'asyncpg', 'asyncio', 'structlog'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_needs_nothing_heavy() -> None:
    """`subscriber --help` imports no command at all."""
    program = (
        "import sys\nfrom subscriber.cli.main import main\nmain(['--help'], standalone_mode=False)\n"
        "heavy = {'aiobotocore', 'aiohttp', 'asyncpg', 'asyncio', 'structlog', 'msgspec', 'subscriber.app'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("module", ["migrate", "search", "exists", "quarantine", "jobs", "buckets", "indexes"])
def test_a_command_of_the_database_needs_no_aws(module: str) -> None:
    """Neither clients of AWS nor the HTTP server are imported where a password logs in, since they cost the most."""
    program = (
        f"import sys\nimport subscriber.cli.{module}\n"
        "print(sorted({'aiobotocore', 'botocore', 'aiohttp', 'pyarrow', 'subscriber.app'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]"


def all_commands() -> list[tuple[str, ...]]:
    """Every command with its subcommands, as one would type it; the first is `subscriber` itself."""
    found: list[tuple[str, ...]] = [()]
    for words in found:
        command: click.Command | None = main
        for word in words:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word)
        if isinstance(command, click.Group):
            found += [(*words, name) for name in command.list_commands(click.Context(command))]
    return found


@pytest.mark.parametrize("words", all_commands(), ids=" ".join)
def test_help_fits_a_terminal(words: tuple[str, ...]) -> None:
    """At 80 columns no line is longer and no sentence in a list of commands is cut."""
    lines = CliRunner().invoke(main, [*words, "--help"], env={"COLUMNS": "80"}, terminal_width=80).stdout.splitlines()
    assert lines[0].startswith("Usage: ")
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines[1:] if "..." in line] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_repeats_the_help_of_each(name: str) -> None:
    """The short help, which is written down so that nothing is imported for it, is the first sentence of the help."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.help is not None
    assert COMMANDS[name].short_help == command.help.partition("\n")[0]


def test_module_is_the_command() -> None:
    """`python -m subscriber --version` answers under the command's name."""
    done = subprocess.run(
        [sys.executable, "-m", "subscriber", "--version"], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.startswith("subscriber, version ")


def test_the_package_has_a_version() -> None:
    """`subscriber.__version__` is that of the installed package; any other missing name is an error."""
    assert subscriber.__version__ == importlib.metadata.version("subscriber")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = subscriber.nothing
