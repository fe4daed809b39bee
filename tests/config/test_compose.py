"""The compose file is consistent, and LocalStack creates what its script asks for."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path
from typing import Any

from subscriber.settings.table import Settings
from tests.config.ecs_files import fill_script, from_yaml
from tests.config.shell_blocks import run_aws
from tests.fixtures.queues import OpenClient
from tests.repo.source import ROOT

FILE = "config/compose.yaml"


def services() -> dict[str, Any]:
    """The services by their name."""
    found: dict[str, Any] = from_yaml(FILE)["services"]
    return found


def test_the_daemon_can_start() -> None:
    """Its variables exist, are valid, and fit each other."""
    settings = Settings.from_environment(services()["subscriber"]["environment"])
    assert settings.database_tls == "disable"


def test_services_wait_for_their_dependencies() -> None:
    """The daemon starts once database and queue are healthy, and both have a health check."""
    needs = services()["subscriber"]["depends_on"]
    assert needs == {name: {"condition": "service_healthy"} for name in ("postgres", "localstack")}
    assert all(services()[name]["healthcheck"]["test"][0] == "CMD" for name in needs)


def test_hosts_are_services() -> None:
    """Every host in the daemon's settings is a service of the file, at its usual port."""
    values = [str(value) for value in services()["subscriber"]["environment"].values()]
    hosts = {found for value in values for found in re.findall(r"(?:http://|@)([a-z]+:\d+)", value)}
    assert hosts == {"localstack:4566", "postgres:5432"}


def test_the_database_is_the_one_of_the_url() -> None:
    """User, password and database are those that PostgreSQL creates."""
    made = services()["postgres"]["environment"]
    url = f"postgresql://{made['POSTGRES_USER']}:{made['POSTGRES_PASSWORD']}@postgres:5432/{made['POSTGRES_DB']}"
    assert services()["subscriber"]["environment"]["SUBSCRIBER_DATABASE_URL"] == url


def test_nothing_is_open_to_the_network() -> None:
    """Ports are open to this machine only, and the daemon's file system is read-only."""
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8080:8080"]
    daemon = services()["subscriber"]
    assert (daemon["read_only"], daemon["cap_drop"]) == (True, ["ALL"])


def test_images_are_pinned() -> None:
    """Every image has a version."""
    images = [service["image"] for service in services().values() if "image" in service]
    assert len(images) == 2
    assert all(re.search(r":\d", image) for image in images)


def test_mounted_files_exist() -> None:
    """Every file or folder of the project that a container mounts exists."""
    mounted = [volume.split(":")[0] for service in services().values() for volume in service.get("volumes", [])]
    ours = [ROOT / "config" / path for path in mounted if path.startswith(".")]
    assert len(ours) == 2
    assert all(path.exists() for path in ours)


def test_the_grace_period_covers_a_shutdown() -> None:
    """Docker waits longer than the daemon's longest shutdown."""
    daemon = services()["subscriber"]
    settings = Settings.from_environment(daemon["environment"])
    assert int(daemon["stop_grace_period"].removesuffix("s")) >= settings.stop_timeout_seconds + 5


def test_the_values_have_the_names_of_the_example() -> None:
    """LocalStack's values have the names of the example, and the queue the daemon reads."""
    ours = fill_script().values_in((ROOT / "config/compose/values.env").read_text())
    example = fill_script().values_in((ROOT / "config/ecs/values.env").read_text())
    assert ours.keys() == example.keys()
    queue = services()["subscriber"]["environment"]["SUBSCRIBER_QUEUE_URLS"]
    assert queue.split("/")[-2:] == [ours["ACCOUNT"], ours["QUEUE"]]


async def test_ready_creates_what_the_daemon_reads(localstack_url: str, aws_client: OpenClient, tmp_path: Path) -> None:
    """After LocalStack's script has run, an object put into the bucket is a message in the queue."""
    script = (ROOT / "config/compose/ready.sh").read_text().replace("/config/", f"{ROOT}/config/")
    lines = [shlex.split(line) for line in script.replace("$filled", str(tmp_path)).splitlines() if line]
    (fill,) = [words for words in lines if words[0] == "python3"]
    assert fill_script().main(fill[2:]) == 0
    await run_aws([words[1:] for words in lines if words[0] == "awslocal"], localstack_url, tmp_path)
    async with (
        aws_client("s3", localstack_url, access_key="test", secret_key="test") as s3,
        aws_client("sqs", localstack_url, access_key="test", secret_key="test") as sqs,
    ):
        await s3.put_object(Bucket="lake-raw", Key="hello.txt", Body=b"hello")
        url = (await sqs.get_queue_url(QueueName="lake-events"))["QueueUrl"]
        keys = await _keys(sqs, url)
    assert "hello.txt" in keys


async def _keys(sqs: Any, url: str) -> str:
    """The bodies in the queue, once one of them is more than the bucket's test event."""
    async with asyncio.timeout(60):
        while True:
            answer = await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MaxNumberOfMessages=10)
            bodies = "".join(message["Body"] for message in answer.get("Messages", []))
            if "ObjectCreated" in bodies:
                return bodies
