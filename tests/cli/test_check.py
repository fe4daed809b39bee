"""`subscriber check` as a process: lines for people, JSON for programs, an exit code for both."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.fixtures.ports import closed_port

SECRET = "open-sesame"


def check(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run it with only these settings; nothing listens at the addresses they name."""
    with closed_port() as port:
        return _check(port, *arguments, **settings)


def _check(port: int, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SUBSCRIBER_", "AWS_"))}
    environment = {
        **inherited,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "SUBSCRIBER_QUEUE_URLS": f"http://127.0.0.1:{port}/000000000000/events",
        "SUBSCRIBER_DATABASE_URL": f"postgresql://writer:{SECRET}@127.0.0.1:{port}/lake",
    } | {f"SUBSCRIBER_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "subscriber", "check", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert SECRET not in done.stdout + done.stderr
    return done


def test_all_problems_are_reported_at_once() -> None:
    """Neither database nor queue answers: one line each, and the exit code of the first."""
    done = check()
    assert done.returncode == 3
    assert done.stderr == ""
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["error", "database:"], ["error", "queue"]]


def test_json_is_all_of_stdout() -> None:
    """Stdout holds one JSON document with the exit code of the process."""
    done = check("--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["exit_code"]) == (3, 3)
    assert [each["kind"] for each in report["findings"]] == ["database", "queue"]
    assert all(each["problem"] and each["remedy"] for each in report["findings"])


def test_settings_come_first() -> None:
    """All mistakes in settings, broken constraints among them, are reported; then nothing is probed."""
    done = check("--json", BATCH_MAX_ROWS="many", WRITE_TIMEOUT_SECONDS="60", DATABSE_POOLER="none")
    findings = json.loads(done.stdout)["findings"]
    assert (done.returncode, {each["kind"] for each in findings}) == (2, {"configuration"})
    problems = "\n".join(each["problem"] for each in findings)
    assert (
        "SUBSCRIBER_BATCH_MAX_ROWS is 'many': not a valid number; it takes a whole number of rows, 1 to 10000"
        in problems
    )
    assert "3 × SUBSCRIBER_WRITE_TIMEOUT_SECONDS ≤ SUBSCRIBER_RECEIVE_VISIBILITY_SECONDS ÷ 2 does not hold" in problems
    assert "SUBSCRIBER_DATABSE_POOLER is not a setting; the nearest one is SUBSCRIBER_DATABASE_POOLER" in problems
