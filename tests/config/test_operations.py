"""The way from nothing to a service, walked as docs/operations.md says, as far as LocalStack carries it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import botocore.session
import pytest
from click.testing import CliRunner

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.cli.main import main
from subscriber.errors import ExitCode
from subscriber.settings.table import settings_table
from testkit.daemon import daemon_process
from tests.config.ecs_files import complaints, container_environment, example_values, fill_script, filled
from tests.config.shell_blocks import Command, blocks, commands, operation_names, parameters, run_aws
from tests.config.test_watch import series
from tests.e2e.environment import fitting_constraints, until
from tests.fixtures.queues import OpenClient
from tests.repo.source import ROOT, texts

DOCUMENT = "docs/operations.md"
CARRIED = ("sqs", "s3api", "secretsmanager", "iam", "logs")
"""What LocalStack's free edition has; ECS, its scaling and the registry it has not."""
CHECKED = ("ecs", "ecr", "application-autoscaling")
ELSEWHERE = ("cp", "python3", "subscriber", "docker")


def document() -> str:
    """The text."""
    return texts()[DOCUMENT]


def aws_commands(*services: str) -> list[Command]:
    """The commands of these services, in the order of the document."""
    return [words for words in commands(document()) if words[0] == "aws" and words[1] in services]


def as_localstack_has_it(command: Command) -> Command:
    """The same with LocalStack's account and region instead of the example's."""
    return [word.replace("123456789012", "000000000000").replace("eu-central-1", "us-east-1") for word in command]


@pytest.fixture
def filled_folder(tmp_path: Path) -> Path:
    """A folder in which the first step was taken, with values for LocalStack."""
    shutil.copy(ROOT / "config/compose/values.env", tmp_path / "my-values.env")
    (fill,) = [words for words in commands(document()) if words[0] == "python3"]
    (tmp_path / "config").symlink_to(ROOT / "config")
    subprocess.run([sys.executable, *fill[1:]], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.fixture
async def walked(filled_folder: Path, localstack_url: str, aws_client: OpenClient) -> Path:
    """The folder, once every step that LocalStack carries has been taken."""
    async with aws_client("s3", localstack_url, access_key="test", secret_key="test") as s3:
        await s3.create_bucket(Bucket="lake-raw")
    steps = [as_localstack_has_it(words)[1:] for words in aws_commands(*CARRIED)]
    assert len(steps) >= 12
    await run_aws(steps, localstack_url, filled_folder)
    return filled_folder


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[str]:
    """The URL of the role that step four makes, made by one who may no more than RDS's master user."""
    suffix = uuid.uuid4().hex[:8]
    name, master = f"lake_{suffix}", f"master_{suffix}"
    host = postgres_url.rpartition("/")[0].rpartition("@")[2]
    superuser = await asyncpg.connect(postgres_url, timeout=10)
    try:
        await superuser.execute(f"CREATE ROLE {master} LOGIN PASSWORD 'secret' NOSUPERUSER CREATEROLE CREATEDB")
        await superuser.execute(f"CREATE DATABASE {name} OWNER {master} ENCODING 'UTF8' TEMPLATE template0")
        owner = await asyncpg.connect(f"postgresql://{master}:secret@{host}/{name}", timeout=10)
        await owner.execute(blocks(document(), "sql")[0])
        await owner.close()
        yield f"postgresql://subscriber:a%20long%20random%20one@{host}/{name}"
    finally:
        await superuser.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await superuser.execute("DROP ROLE IF EXISTS subscriber")
        await superuser.execute(f"DROP ROLE IF EXISTS {master}")
        await superuser.close()


@pytest.mark.timeout(180)
async def test_the_way_is_walked(walked: Path, localstack_url: str, database: str, aws_client: OpenClient) -> None:
    """Queues, bucket, role, schema, secrets, roles and log as written; then an object becomes a row."""
    await see_what_was_made(localstack_url, aws_client)
    await migrate(StoreOptions(url=database, tls="disable"))
    bundle = walked / "bundle.pem"
    bundle.touch()
    environment = {
        **{name: as_localstack_has_it([value])[0] for name, value in container_environment().items()},
        **fitting_constraints(),
        "SUBSCRIBER_DATABASE_URL": database,
        "SUBSCRIBER_DATABASE_CA_FILE": str(bundle),
        "SUBSCRIBER_HTTP_HOST": "127.0.0.1",
        "AWS_ENDPOINT_URL": localstack_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    with daemon_process(environment) as daemon:
        await asyncio.to_thread(daemon.wait_for, "pipeline.started")
        async with aws_client("s3", localstack_url, access_key="test", secret_key="test") as s3:
            await s3.put_object(Bucket="lake-raw", Key="hello.txt", Body=b"hello")
        await until(lambda: daemon.metric("subscriber_rows_applied_total") >= 1)
        assert daemon.events("queue.suspicious") == []
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    connection = await asyncpg.connect(database, timeout=10)
    row = await connection.fetchrow("SELECT size_bytes FROM subscriber.objects WHERE key = 'hello.txt'")
    quarantined = await connection.fetch(blocks(document(), "sql")[1])
    await connection.close()
    assert row is not None
    assert (row["size_bytes"], quarantined) == (5, [])


async def see_what_was_made(localstack_url: str, aws_client: OpenClient) -> None:
    """Redrive, notification, retention and roles are what the files say, by AWS's own answers."""
    async with aws_client("sqs", localstack_url, access_key="test", secret_key="test") as sqs:
        url = (await sqs.get_queue_url(QueueName="lake-events"))["QueueUrl"]
        attributes = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
    assert '"maxReceiveCount":10' in attributes["RedrivePolicy"].replace(" ", "")
    assert attributes["MessageRetentionPeriod"] == "604800"
    async with aws_client("s3", localstack_url, access_key="test", secret_key="test") as s3:
        answer = await s3.get_bucket_notification_configuration(Bucket="lake-raw")
    assert [one["Id"] for one in answer["QueueConfigurations"]] == ["object-index"]
    async with aws_client("iam", localstack_url, access_key="test", secret_key="test") as iam:
        for role in ("subscriber-task", "subscriber-execution"):
            assert (await iam.list_role_policies(RoleName=role))["PolicyNames"] == ["subscriber"]


def test_the_other_steps_are_calls_that_aws_takes(filled_folder: Path) -> None:
    """ECS and its scaling: each operation exists, and takes what the command gives it."""
    session = botocore.session.get_session()
    checked = aws_commands(*CHECKED)
    assert len(checked) >= 12
    for command in checked:
        service, operation, given = parameters(command, filled_folder)
        name = operation_names(session.get_service_model(service))[operation]
        shape = session.get_service_model(service).operation_model(name).input_shape
        options = {botocore.xform_name(member, "-"): member for member in shape.members}
        assert complaints(service, name, {options.get(key, key): value for key, value in given.items()}) == ""


def test_no_command_is_left_unchecked() -> None:
    """Whatever the document tells to run is run here, checked here, or known to be neither."""
    for words in commands(document()):
        if words[0] == "aws":
            assert words[1] in (*CARRIED, *CHECKED, "cloudformation"), words
        else:
            assert words[0] in ELSEWHERE, words


def test_the_alarms_are_given_what_they_ask_for() -> None:
    """The template's parameters without a default, each once."""
    (deploy,) = aws_commands("cloudformation")
    given = {word.split("=", 1)[0] for word in deploy[deploy.index("--parameter-overrides") + 1 :]}
    text = (ROOT / "config/watch/alarms.yaml").read_text()
    required = set(re.findall(r"^  (\w+): \{Type: String", text, re.MULTILINE))
    assert given == required


def test_the_image_that_is_built_is_the_one_that_runs() -> None:
    """Build, push and values.env name one tag."""
    docker = {words[1]: words for words in commands(document()) if words[0] == "docker"}
    image = example_values()["IMAGE"]
    assert (docker["build"][-2], docker["push"][-1]) == (image, image)
    assert image.startswith(f"{docker['login'][-3]}/{example_values()['REPOSITORY']}:")


def test_the_image_is_built_for_the_processors_it_runs_on() -> None:
    """On a laptop with ARM it would else be built for that."""
    (build,) = [words for words in commands(document()) if words[:2] == ["docker", "build"]]
    platforms = {"linux/amd64": "X86_64", "linux/arm64": "ARM64"}
    built_for = platforms[build[build.index("--platform") + 1]]
    assert built_for == filled("task-definition.json")["runtimePlatform"]["cpuArchitecture"]


def test_one_off_tasks_run_before_the_service(filled_folder: Path) -> None:
    """The tables are made, then everything is looked at, then the service is made; all by commands that exist."""
    orders = [words for words in aws_commands("ecs") if words[2] in ("run-task", "create-service")]
    given = [parameters(words, filled_folder)[2] for words in orders]
    run = [one.get("overrides", {"containerOverrides": [{"command": ["run"]}]}) for one in given]
    asked = [one["containerOverrides"][0]["command"] for one in run]
    assert asked[:3] == [["migrate"], ["check"], ["run"]]
    assert [exit_code_of_help(command) for command in asked] == [0] * len(asked)


def exit_code_of_help(command: list[str]) -> int:
    """That of a command of ours with --help behind it: 0 where it exists and takes these words."""
    return CliRunner().invoke(main, [*command, "--help"]).exit_code


def test_names_of_the_document_are_those_of_the_example() -> None:
    """Cluster, service, queues and log group are spelled as in values.env."""
    values, text = example_values(), document()
    assert f"--cluster {values['CLUSTER']} --service {values['SERVICE']}" in text
    assert f"--log-group-name {values['LOG_GROUP']}" in text
    assert f":{values['DEAD_LETTER_QUEUE']}\n" in text
    assert fill_script().values_in((ROOT / "config/compose/values.env").read_text())["QUEUE"] == values["QUEUE"]


def test_every_metric_and_variable_that_is_named_exists() -> None:
    """What the reader is told to look at or to set is there."""
    named = set(re.findall(r"subscriber_[a-z_]+", document()))
    assert len(named) > 8
    assert named <= set(series()) | {name.removesuffix("_bucket") for name in series()}
    variables = set(re.findall(r"SUBSCRIBER_[A-Z_]+[A-Z]", document()))
    assert variables <= {row.variable for row in settings_table()}
