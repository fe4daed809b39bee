"""The commands of docs/how-to, from nothing to a service with two buckets, run as far as LocalStack supports them."""

from __future__ import annotations

import asyncio
import re
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
from tests.config.ecs_files import container_environment, example_values, fill_script, filled, validation_errors
from tests.config.shell_blocks import Command, blocks, commands, operation_names, parameters, run_aws
from tests.config.test_watch import series
from tests.e2e.environment import fitting_constraints, until
from tests.fixtures.queues import OpenClient
from tests.repo.source import ROOT, texts

PAGES = ("deploy", "replay", "prune", "drain", "second-bucket", "tune", "override", "incident")
"""The pages of docs/how-to, in the order in which their commands are run."""
SECOND_BUCKET = "lake-curated"
SUPPORTED = ("sqs", "s3api", "secretsmanager", "iam", "logs")
"""Services of LocalStack's free edition; it has no ECS, scaling or registry."""
CHECKED = ("ecs", "ecr", "application-autoscaling")
NOT_CHECKED = ("cp", "python3", "subscriber", "docker")


def document() -> str:
    """The text of all pages."""
    return "\n".join(texts()[f"docs/how-to/{page}.md"] for page in PAGES)


def aws_commands(*services: str) -> list[Command]:
    """The commands of these services, in the order of the document."""
    return [words for words in commands(document()) if words[0] == "aws" and words[1] in services]


def for_localstack(command: Command) -> Command:
    """The same with LocalStack's account and region instead of the example's."""
    return [word.replace("123456789012", "000000000000").replace("eu-central-1", "us-east-1") for word in command]


@pytest.fixture
def filled_folder(tmp_path: Path) -> Path:
    """A folder with the files that the pages tell the reader to write, with values for LocalStack."""
    values = (ROOT / "config/compose/values.env").read_text()
    (tmp_path / "my-values.env").write_text(values)
    (tmp_path / "second-values.env").write_text(values.replace("BUCKET=lake-raw", f"BUCKET={SECOND_BUCKET}"))
    (policy,) = blocks(texts()["docs/how-to/second-bucket.md"], "json")
    (tmp_path / "two-buckets.json").write_text(for_localstack([policy])[0])
    (tmp_path / "config").symlink_to(ROOT / "config")
    fills = [words for words in commands(document()) if words[0] == "python3"]
    assert len(fills) == 2
    for fill in fills:
        subprocess.run([sys.executable, *fill[1:]], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.fixture
async def deployed(filled_folder: Path, localstack_url: str, aws_client: OpenClient) -> Path:
    """The folder, after every step that LocalStack supports."""
    async with aws_client("s3", localstack_url, access_key="test", secret_key="test") as s3:
        await s3.create_bucket(Bucket="lake-raw")
        await s3.create_bucket(Bucket=SECOND_BUCKET)
    steps = [for_localstack(words)[1:] for words in aws_commands(*SUPPORTED)]
    assert len(steps) >= 12
    await run_aws(steps, localstack_url, filled_folder)
    return filled_folder


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[str]:
    """The URL of the role that step four creates, as a user with no more rights than RDS's master user."""
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
async def test_the_steps_lead_to_a_row(
    deployed: Path, localstack_url: str, database: str, aws_client: OpenClient
) -> None:
    """Queues, buckets, role, schema, secrets, roles and log as written; then an object of each bucket becomes a row."""
    await check_created_resources(localstack_url, aws_client)
    await see_that_the_queue_is_not_made_twice(localstack_url, deployed)
    await migrate(StoreOptions(url=database, tls="disable"))
    bundle = deployed / "bundle.pem"
    bundle.touch()
    environment = {
        **{name: for_localstack([value])[0] for name, value in container_environment().items()},
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
            await s3.put_object(Bucket=SECOND_BUCKET, Key="hello.txt", Body=b"hello, you")
        await until(lambda: daemon.metric("subscriber_rows_applied_total") >= 2)
        assert daemon.events("queue.suspicious") == []
        assert await asyncio.to_thread(daemon.stop) == ExitCode.DRAINED
    connection = await asyncpg.connect(database, timeout=10)
    rows = await connection.fetch("SELECT bucket, size_bytes FROM subscriber.objects ORDER BY bucket")
    _, counts_by_reason, _mark_as_done, rows_of_second = blocks(document(), "sql")
    quarantined = await connection.fetch(counts_by_reason)
    second = await connection.fetch(rows_of_second)
    await connection.close()
    assert [tuple(row) for row in rows] == [(SECOND_BUCKET, 10), ("lake-raw", 5)]
    assert (quarantined, [tuple(row) for row in second]) == ([], [(SECOND_BUCKET, 1)])


async def check_created_resources(localstack_url: str, aws_client: OpenClient) -> None:
    """Redrive, notification, retention and roles are what the files say, by the answers of the API."""
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


async def see_that_the_queue_is_not_made_twice(localstack_url: str, folder: Path) -> None:
    """Why the page on a second bucket changes the queue's policy instead of repeating the step that makes the queue."""
    again = ["sqs", "create-queue", "--cli-input-json", "file://build/second/queue.json"]
    with pytest.raises(AssertionError, match="QueueAlreadyExists"):
        await run_aws([again], localstack_url, folder)


def test_the_other_steps_are_calls_that_aws_takes(filled_folder: Path) -> None:
    """ECS and its scaling: each operation exists, and accepts the parameters of the command."""
    session = botocore.session.get_session()
    checked = aws_commands(*CHECKED)
    assert len(checked) >= 12
    for command in checked:
        service, operation, given = parameters(command, filled_folder)
        name = operation_names(session.get_service_model(service))[operation]
        shape = session.get_service_model(service).operation_model(name).input_shape
        options = {botocore.xform_name(member, "-"): member for member in shape.members}
        assert validation_errors(service, name, {options.get(key, key): value for key, value in given.items()}) == ""


def test_no_command_is_left_unchecked() -> None:
    """Every command of the document is run here, checked here, or known to be neither."""
    for words in commands(document()):
        if words[0] == "aws":
            assert words[1] in (*SUPPORTED, *CHECKED, "cloudformation"), words
        else:
            assert words[0] in NOT_CHECKED, words


def test_the_alarms_get_their_parameters() -> None:
    """The template's parameters without a default, each once."""
    (deploy,) = aws_commands("cloudformation")
    given = {word.split("=", 1)[0] for word in deploy[deploy.index("--parameter-overrides") + 1 :]}
    text = (ROOT / "config/watch/alarms.yaml").read_text()
    required = set(re.findall(r"^  (\w+): \{Type: String", text, re.MULTILINE))
    assert given == required


def test_the_built_image_is_the_one_that_runs() -> None:
    """Build, push and values.env name one tag."""
    docker = {words[1]: words for words in commands(document()) if words[0] == "docker"}
    image = example_values()["IMAGE"]
    assert (docker["build"][-2], docker["push"][-1]) == (image, image)
    assert image.startswith(f"{docker['login'][-3]}/{example_values()['REPOSITORY']}:")


def test_the_image_is_built_for_the_processors_it_runs_on() -> None:
    """A laptop with ARM would build for ARM by default."""
    (build,) = [words for words in commands(document()) if words[:2] == ["docker", "build"]]
    platforms = {"linux/amd64": "X86_64", "linux/arm64": "ARM64"}
    built_for = platforms[build[build.index("--platform") + 1]]
    assert built_for == filled("task-definition.json")["runtimePlatform"]["cpuArchitecture"]


def test_one_off_tasks_run_before_the_service(filled_folder: Path) -> None:
    """`migrate`, then `check`, then the service; each is a command that exists."""
    orders = [words for words in aws_commands("ecs") if words[2] in ("run-task", "create-service")]
    given = [parameters(words, filled_folder)[2] for words in orders]
    run = [one.get("overrides", {"containerOverrides": [{"command": ["run"]}]}) for one in given]
    asked = [one["containerOverrides"][0]["command"] for one in run]
    assert asked[:3] == [["migrate"], ["check"], ["run"]]
    assert [exit_code_of_help(command) for command in asked] == [0] * len(asked)


def exit_code_of_help(command: list[str]) -> int:
    """The exit code of a command with --help appended: 0 if it exists and accepts these words."""
    return CliRunner().invoke(main, [*command, "--help"]).exit_code


def test_names_of_the_document_are_those_of_the_example() -> None:
    """Cluster, service, queues and log group are spelled as in values.env."""
    values, text = example_values(), document()
    assert f"--cluster {values['CLUSTER']} --service {values['SERVICE']}" in text
    assert f"--log-group-name {values['LOG_GROUP']}" in text
    assert f":{values['DEAD_LETTER_QUEUE']}\n" in text
    assert fill_script().values_in((ROOT / "config/compose/values.env").read_text())["QUEUE"] == values["QUEUE"]


def test_every_metric_and_variable_that_is_named_exists() -> None:
    """Every metric and setting named in the document exists."""
    named = set(re.findall(r"subscriber_[a-z_]+", document()))
    assert len(named) > 8
    assert named <= set(series()) | {name.removesuffix("_bucket") for name in series()}
    variables = set(re.findall(r"SUBSCRIBER_[A-Z_]+[A-Z]", document()))
    assert variables <= {row.variable for row in settings_table()}
