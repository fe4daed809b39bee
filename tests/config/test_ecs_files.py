"""The files of config/ecs are what AWS takes, and fit the settings and each other."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yarl

from subscriber.admin.server import Pages
from subscriber.observe.metrics import Metrics
from subscriber.options import store_options
from subscriber.settings.table import Settings, settings_table
from tests.config.ecs_files import (
    ECS,
    OPERATIONS,
    POLICIES,
    complaints,
    container,
    container_environment,
    example_values,
    fill_script,
    filled,
)

DATABASE_URL = "postgresql://subscriber:secret@lake.cluster-abc.eu-central-1.rds.amazonaws.com/lake"
SPARE_SECONDS = 5
SENSOR_CONNECTIONS = 1
"""A source of the load that asks the database has a connection of its own."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """What the daemon would read in the task, with a file where the image has the certificates."""
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    secrets = {"SUBSCRIBER_DATABASE_URL": DATABASE_URL, "SUBSCRIBER_CONTROL_TOKEN": "0123456789abcdef"}
    assert set(secrets) == {secret["name"] for secret in container()["secrets"]}
    return Settings.from_environment(container_environment() | secrets | {"SUBSCRIBER_DATABASE_CA_FILE": str(bundle)})


def test_every_file_is_known() -> None:
    """No template is without the call it is for, or the role."""
    assert {path.name for path in ECS.glob("*.json")} == {*OPERATIONS, *POLICIES}


@pytest.mark.parametrize("name", OPERATIONS)
def test_aws_takes_the_file(name: str) -> None:
    """The validator of botocore finds nothing wrong with it."""
    assert complaints(*OPERATIONS[name], filled(name)) == ""


def test_the_validator_notices() -> None:
    """A field that does not exist, or has another type, is found."""
    wrong = filled("task-definition.json") | {"memroy": "1"}
    assert "memroy" in complaints("ecs", "RegisterTaskDefinition", wrong)
    assert "desiredCount" in complaints("ecs", "CreateService", filled("service.json") | {"desiredCount": "1"})


def test_every_value_is_used() -> None:
    """No name in values.env is left over; what only a test reads is said to be a number to fit."""
    templates = "".join(path.read_text() for path in ECS.glob("*.json"))
    unused = {name for name in example_values() if f"${{{name}}}" not in templates}
    assert unused == {"DATABASE_CONNECTIONS"}


def test_the_settings_of_the_task_can_start(settings: Settings) -> None:
    """Every variable exists, has a value it takes, and the sums fit."""
    assert settings.database_tls == "verify-full"
    assert settings.queue_urls == ("https://sqs.eu-central-1.amazonaws.com/123456789012/lake-events",)


def test_secrets_come_as_secrets() -> None:
    """What the table of settings calls secret is in `secrets`, and nowhere else."""
    secret = {row.variable for row in settings_table() if row.secret}
    assert {one["name"] for one in container()["secrets"]} <= secret
    assert not secret & set(container_environment())
    assert "password" not in (ECS / "task-definition.json").read_text().lower()


def test_a_stop_ends_before_it_is_cut_off(settings: Settings) -> None:
    """STOP_TIMEOUT + 5 ≤ stopTimeout, which is at most 120 on Fargate."""
    assert settings.stop_timeout_seconds + SPARE_SECONDS <= container()["stopTimeout"] <= 120


def test_the_database_can_stand_the_most_tasks(settings: Settings) -> None:
    """The most tasks, doubled by a deployment, take no more connections than values.env says there are for us."""
    most_tasks = filled("scalable-target.json")["MaxCapacity"]
    during_deployment = most_tasks * filled("service.json")["deploymentConfiguration"]["maximumPercent"] / 100
    connections = store_options(settings).connections_max + SENSOR_CONNECTIONS
    assert during_deployment * connections <= int(example_values()["DATABASE_CONNECTIONS"])


def test_memory_holds_what_may_be_prefetched(settings: Settings) -> None:
    """A message in memory weighs its body several times over: bodies are at most an eighth of the task's memory."""
    memory_bytes = int(filled("task-definition.json")["memory"]) * 1024 * 1024
    assert settings.prefetch_bytes * 8 <= memory_bytes


def test_the_image_is_started_as_it_is_meant() -> None:
    """Exec form, nobody's user, nothing to write, no privilege, and an init that passes signals on."""
    task = container()
    assert (task["entryPoint"], task["command"]) == (["subscriber"], ["run"])
    assert task["user"] == "10001:10001"
    assert task["readonlyRootFilesystem"] is True
    assert task["linuxParameters"] == {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}}
    assert task["logConfiguration"]["options"]["mode"] == "non-blocking"


async def test_the_health_check_asks_livez() -> None:
    """The very command, at the real page: 0 while it answers, 1 when nobody does; no shell, no curl."""
    command = container()["healthCheck"]["command"]
    assert command[:2] == ["CMD", "python"]
    pages = Pages("127.0.0.1", 0, Metrics().registry, lambda: {"ready": False})
    await pages.start()
    arguments = [word.replace("8080", str(pages.port)) for word in command[2:]]
    assert await _exit_code(arguments) == 0
    await pages.stop()
    assert await _exit_code(arguments) == 1


async def _exit_code(arguments: list[str]) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return await process.wait()


def test_the_health_check_asks_where_the_pages_are(settings: Settings) -> None:
    """Its port is the daemon's and the container's."""
    assert f", {settings.http_port}," in container()["healthCheck"]["command"][-1]
    assert container()["portMappings"][0]["containerPort"] == settings.http_port


def test_a_bad_release_is_rolled_back() -> None:
    """A rolling deployment that never goes below the tasks there are, and goes back by itself."""
    assert filled("service.json")["deploymentConfiguration"] == {
        "strategy": "ROLLING",
        "minimumHealthyPercent": 100,
        "maximumPercent": 200,
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
    }


def test_the_backlog_per_task_falls_when_tasks_are_added() -> None:
    """One series is returned: what waits and what is held, over the tasks that run."""
    configuration = filled("scaling-policy.json")["TargetTrackingScalingPolicyConfiguration"]
    queries = configuration["CustomizedMetricSpecification"]["Metrics"]
    returned = [query for query in queries if query["ReturnData"]]
    assert [query["Expression"] for query in returned] == ["(waiting + taken) / tasks"]
    assert {query["Id"] for query in queries if "MetricStat" in query} == {"waiting", "taken", "tasks"}


def test_scaling_speaks_of_the_service() -> None:
    """Target, policy and service name the same cluster and service."""
    service = filled("service.json")
    resource = f"service/{service['cluster']}/{service['serviceName']}"
    assert [filled(name)["ResourceId"] for name in ("scalable-target.json", "scaling-policy.json")] == [resource] * 2


def test_a_one_off_task_runs_where_the_service_does() -> None:
    """Cluster, network, definition and container are the service's: what it finds is what the daemon would find."""
    once, service = filled("one-off-task.json"), filled("service.json")
    shared = ("cluster", "taskDefinition", "launchType", "platformVersion", "networkConfiguration")
    assert {name: once[name] for name in shared} == {name: service[name] for name in shared}
    (override,) = once["overrides"]["containerOverrides"]
    assert override == {"name": container()["name"], "command": ["check"]}


def test_the_queue_fits_the_daemon(settings: Settings) -> None:
    """Ten receives before the dead-letter queue, which keeps longer; the URL of the settings is this queue's."""
    queue, dead = filled("queue.json"), filled("dead-letter-queue.json")
    redrive = json.loads(queue["Attributes"]["RedrivePolicy"])
    assert redrive["maxReceiveCount"] >= 5
    assert redrive["deadLetterTargetArn"].endswith(f":{dead['QueueName']}")
    assert int(dead["Attributes"]["MessageRetentionPeriod"]) > int(queue["Attributes"]["MessageRetentionPeriod"])
    assert yarl.URL(settings.queue_urls[0]).name == queue["QueueName"]


def test_every_event_that_moves_the_index_is_subscribed() -> None:
    """Creations, deletions and expirations: without the last an expired object would stay in the index."""
    (target,) = filled("bucket-notification.json")["NotificationConfiguration"]["QueueConfigurations"]
    assert target["Events"] == ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("ACCOUNT=1\n", "values.env: no value for "),
        ("# ours\nnonsense\n", "values.env: line 2 is not NAME=value"),
        ('ACCOUNT="1"\n', "values.env: line 1: write the value of ACCOUNT as it is"),
        (None, "No such file"),
    ],
)
def test_a_mistake_in_the_values_is_a_line(tmp_path: Path, values: str | None, said: str) -> None:
    """Nothing is written, and the line says what is missing."""
    if values is not None:
        (tmp_path / "values.env").write_text(values)
    command = [sys.executable, str(ECS / "fill.py"), str(tmp_path / "values.env"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_value_that_breaks_the_file_is_refused() -> None:
    """A quotation mark in a value does not become a file that is none."""
    with pytest.raises(ValueError, match="delimiter"):
        fill_script().filled('{"a": "${NAME}"}', {"NAME": 'x" y'})
