"""The files of config/ecs are valid for AWS, and fit the settings and each other."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yarl

from subscriber.admin.server import AdminServer
from subscriber.observe.metrics import Metrics
from subscriber.options import store_options
from subscriber.settings.table import Settings, settings_table
from tests.config.ecs_files import (
    ECS,
    OPERATIONS,
    POLICIES,
    container,
    container_environment,
    example_values,
    fill_script,
    filled,
    validation_errors,
)

DATABASE_URL = "postgresql://subscriber:secret@lake.cluster-abc.eu-central-1.rds.amazonaws.com/lake"
SPARE_SECONDS = 5
SENSOR_CONNECTIONS = 1
"""A load source that queries the database has its own connection."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of the task, with a file in place of the image's certificates."""
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    secrets = {"SUBSCRIBER_DATABASE_URL": DATABASE_URL, "SUBSCRIBER_CONTROL_TOKEN": "0123456789abcdef"}
    assert set(secrets) == {secret["name"] for secret in container()["secrets"]}
    return Settings.from_environment(container_environment() | secrets | {"SUBSCRIBER_DATABASE_CA_FILE": str(bundle)})


def test_every_file_is_known() -> None:
    """Every template belongs to a call or a role."""
    assert {path.name for path in ECS.glob("*.json")} == {*OPERATIONS, *POLICIES}


@pytest.mark.parametrize("name", OPERATIONS)
def test_aws_accepts_the_file(name: str) -> None:
    """Botocore's validator finds no error."""
    assert validation_errors(*OPERATIONS[name], filled(name)) == ""


def test_the_validator_finds_errors() -> None:
    """It finds a field that does not exist or has another type."""
    wrong = filled("task-definition.json") | {"memroy": "1"}
    assert "memroy" in validation_errors("ecs", "RegisterTaskDefinition", wrong)
    assert "desiredCount" in validation_errors("ecs", "CreateService", filled("service.json") | {"desiredCount": "1"})


def test_every_value_is_used() -> None:
    """Every name in values.env is used by a template, except the one that only a test reads."""
    templates = "".join(path.read_text() for path in ECS.glob("*.json"))
    unused = {name for name in example_values() if f"${{{name}}}" not in templates}
    assert unused == {"DATABASE_CONNECTIONS"}


def test_the_settings_of_the_task_can_start(settings: Settings) -> None:
    """Every variable exists and is valid, and the constraints hold."""
    assert settings.database_tls == "verify-full"
    assert settings.queue_urls == ("https://sqs.eu-central-1.amazonaws.com/123456789012/lake-events",)


def test_secrets_are_passed_as_secrets() -> None:
    """Secret settings are in `secrets`, and nowhere else."""
    secret = {row.variable for row in settings_table() if row.secret}
    assert {one["name"] for one in container()["secrets"]} <= secret
    assert not secret & set(container_environment())
    assert "password" not in (ECS / "task-definition.json").read_text().lower()


def test_a_shutdown_ends_before_the_task_is_killed(settings: Settings) -> None:
    """STOP_TIMEOUT + 5 ≤ stopTimeout, which is at most 120 on Fargate."""
    assert settings.stop_timeout_seconds + SPARE_SECONDS <= container()["stopTimeout"] <= 120


def test_the_database_has_connections_for_all_tasks(settings: Settings) -> None:
    """The maximum of tasks, doubled by a deployment, uses no more connections than values.env allows."""
    most_tasks = filled("scalable-target.json")["MaxCapacity"]
    during_deployment = most_tasks * filled("service.json")["deploymentConfiguration"]["maximumPercent"] / 100
    connections = store_options(settings).connections_max + SENSOR_CONNECTIONS
    assert during_deployment * connections <= int(example_values()["DATABASE_CONNECTIONS"])


def test_memory_suffices_for_the_prefetch(settings: Settings) -> None:
    """A message takes several times the memory of its body: bodies are at most an eighth of the task's memory."""
    memory_bytes = int(filled("task-definition.json")["memory"]) * 1024 * 1024
    assert settings.prefetch_bytes * 8 <= memory_bytes


def test_the_container_is_unprivileged() -> None:
    """Exec form, a numeric user, a read-only file system, no capabilities, and an init that forwards signals."""
    task = container()
    assert (task["entryPoint"], task["command"]) == (["subscriber"], ["run"])
    assert task["user"] == "10001:10001"
    assert task["readonlyRootFilesystem"] is True
    assert task["linuxParameters"] == {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}}
    assert task["logConfiguration"]["options"]["mode"] == "non-blocking"


@pytest.mark.parametrize("host", ["", "127.0.0.1", "0.0.0.0", "::", "localhost"])
async def test_the_health_check_requests_livez(host: str) -> None:
    """The same command against the real server, wherever it listens: 0 while it answers, else 1; no shell, no curl."""
    command = container()["healthCheck"]["command"]
    assert command[:2] == ["CMD", "python"]
    pages = AdminServer(host or "127.0.0.1", 0, Metrics().registry, lambda: {"ready": False})
    await pages.start()
    environment = {"SUBSCRIBER_HTTP_HOST": host, "SUBSCRIBER_HTTP_PORT": str(pages.port)}
    assert await _exit_code(command[2:], environment) == 0
    await pages.stop()
    assert await _exit_code(command[2:], environment) == 1


async def _exit_code(arguments: list[str], environment: dict[str, str]) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    return await process.wait()


def test_the_health_check_uses_the_defaults_of_the_server(settings: Settings) -> None:
    """Where a variable is unset it is the address and the port of the daemon, and the port of the container."""
    command = container()["healthCheck"]["command"][-1]
    (default,) = (row.default for row in settings_table() if row.variable == "SUBSCRIBER_HTTP_HOST")
    assert f"e.get('SUBSCRIBER_HTTP_HOST') or '{default}', " in command
    assert f"int(e.get('SUBSCRIBER_HTTP_PORT') or {settings.http_port})" in command
    assert container()["portMappings"][0]["containerPort"] == settings.http_port


def test_a_bad_release_is_rolled_back() -> None:
    """A rolling deployment never has fewer tasks than before, and rolls back by itself."""
    assert filled("service.json")["deploymentConfiguration"] == {
        "strategy": "ROLLING",
        "minimumHealthyPercent": 100,
        "maximumPercent": 200,
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
    }


def test_the_backlog_per_task_falls_when_tasks_are_added() -> None:
    """The metric is the messages that wait or are held, divided by the running tasks."""
    configuration = filled("scaling-policy.json")["TargetTrackingScalingPolicyConfiguration"]
    queries = configuration["CustomizedMetricSpecification"]["Metrics"]
    returned = [query for query in queries if query["ReturnData"]]
    assert [query["Expression"] for query in returned] == ["(waiting + taken) / tasks"]
    assert {query["Id"] for query in queries if "MetricStat" in query} == {"waiting", "taken", "tasks"}


def test_scaling_names_the_service() -> None:
    """Target, policy and service name the same cluster and service."""
    service = filled("service.json")
    resource = f"service/{service['cluster']}/{service['serviceName']}"
    assert [filled(name)["ResourceId"] for name in ("scalable-target.json", "scaling-policy.json")] == [resource] * 2


def test_a_one_off_task_runs_where_the_service_does() -> None:
    """Cluster, network, definition and container are the service's, so `check` finds what the daemon would find."""
    once, service = filled("one-off-task.json"), filled("service.json")
    shared = ("cluster", "taskDefinition", "launchType", "platformVersion", "networkConfiguration")
    assert {name: once[name] for name in shared} == {name: service[name] for name in shared}
    (override,) = once["overrides"]["containerOverrides"]
    assert override == {"name": container()["name"], "command": ["check"]}


def test_the_queue_fits_the_daemon(settings: Settings) -> None:
    """At least five receives, a dead-letter queue with a longer retention, and the queue of the settings."""
    queue, dead = filled("queue.json"), filled("dead-letter-queue.json")
    redrive = json.loads(queue["Attributes"]["RedrivePolicy"])
    assert redrive["maxReceiveCount"] >= 5
    assert redrive["deadLetterTargetArn"].endswith(f":{dead['QueueName']}")
    assert int(dead["Attributes"]["MessageRetentionPeriod"]) > int(queue["Attributes"]["MessageRetentionPeriod"])
    assert yarl.URL(settings.queue_urls[0]).name == queue["QueueName"]


def test_every_event_that_changes_the_index_is_subscribed() -> None:
    """Creations, removals and expirations: without the last, expired objects would stay in the index."""
    (target,) = filled("bucket-notification.json")["NotificationConfiguration"]["QueueConfigurations"]
    assert target["Events"] == ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("ACCOUNT=1\n", "values.env: no value for "),
        ("ACCOUNT=\nREGION=eu-west-1\nQUEUE=  \n", "values.env: write a value for ACCOUNT, QUEUE"),
        ("# ours\nnonsense\n", "values.env: line 2 is not NAME=value"),
        ('ACCOUNT="1"\n', "values.env: line 1: write the value of ACCOUNT as it is"),
        (None, "No such file"),
    ],
)
def test_a_mistake_in_the_values_is_one_line(tmp_path: Path, values: str | None, message: str) -> None:
    """Nothing is written, and the line names the mistake."""
    if values is not None:
        (tmp_path / "values.env").write_text(values)
    command = [sys.executable, str(ECS / "fill.py"), str(tmp_path / "values.env"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_value_that_breaks_the_file_is_rejected() -> None:
    """A quotation mark in a value would make invalid JSON."""
    with pytest.raises(ValueError, match="delimiter"):
        fill_script().filled('{"a": "${NAME}"}', {"NAME": 'x" y'})
