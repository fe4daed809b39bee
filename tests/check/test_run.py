"""Each mistake made on purpose with real parts, and the sentence it leads to: queues and buckets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.check.rules.finding import Finding, exit_code_of
from subscriber.check.run import findings_of
from subscriber.errors import ExitCode
from subscriber.settings.table import Settings
from tests.e2e.conftest import plain_schema as plain_schema  # noqa: PLC0414 - a fixture
from tests.fixtures.queues import Client, OpenClient

POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "*",
            "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::BUCKET"}},
        }
    ],
}
DAYS_14 = "1209600"
EVERYTHING = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")


class Stage:
    """LocalStack's queues and buckets, a schema of its own, and the settings between them."""

    def __init__(self, sqs: Client, s3: Client, name: str, environment: dict[str, str]) -> None:
        self.sqs, self.s3, self.name, self._environment = sqs, s3, name, environment
        self.queue = self.dead = ""

    async def build(self) -> None:
        """A queue and a bucket as the handbook wants them."""
        self.dead = (await self.sqs.create_queue(QueueName=f"{self.name}-dead"))["QueueUrl"]
        await self.change(self.dead, MessageRetentionPeriod=DAYS_14)
        redrive = json.dumps({"deadLetterTargetArn": await self.arn(self.dead), "maxReceiveCount": 10})
        policy = json.dumps(POLICY).replace("BUCKET", self.name)
        attributes = {"RedrivePolicy": redrive, "Policy": policy, "VisibilityTimeout": "300"}
        self.queue = (await self.sqs.create_queue(QueueName=self.name, Attributes=attributes))["QueueUrl"]
        await self.s3.create_bucket(Bucket=self.name)
        await self.notify(*EVERYTHING)

    async def arn(self, queue: str) -> str:
        """The ARN of a queue."""
        answer = await self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    async def change(self, queue: str, **attributes: str) -> None:
        """Set attributes of a queue."""
        await self.sqs.set_queue_attributes(QueueUrl=queue, Attributes=attributes)

    async def notify(self, *events: str, **of_prefix: tuple[str, ...]) -> None:
        """What the bucket tells the queue from now on: events of every key, or events of keys with a prefix."""
        arn = await self.arn(self.queue)
        subscriptions: list[dict[str, Any]] = [{"QueueArn": arn, "Events": list(events)}] if events else []
        for prefix, told in of_prefix.items():
            rules = {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}}
            subscriptions.append({"QueueArn": arn, "Events": list(told), "Filter": rules})
        await self.s3.put_bucket_notification_configuration(
            Bucket=self.name, NotificationConfiguration={"QueueConfigurations": subscriptions}
        )

    async def check(self, **changed: str) -> list[Finding]:
        """All there is to find, `changed` naming settings without their prefix."""
        given = {"QUEUE_URLS": self.queue} | changed
        environment = self._environment | {f"SUBSCRIBER_{name}": value for name, value in given.items()}
        return await findings_of(Settings.from_environment(environment))


@pytest.fixture
async def stage(
    postgres_url: str,
    plain_schema: str,
    localstack_url: str,
    aws_client: OpenClient,
    aws_environment: pytest.MonkeyPatch,
) -> AsyncIterator[Stage]:
    """Everything right, for a test to spoil one thing."""
    await migrate(StoreOptions(url=postgres_url, schema=plain_schema, tls="disable"))
    aws_environment.setenv("AWS_REGION", "us-east-1")
    aws_environment.setenv("AWS_ENDPOINT_URL", localstack_url)
    environment = {"SUBSCRIBER_DATABASE_URL": postgres_url, "SUBSCRIBER_DATABASE_SCHEMA": plain_schema}
    async with aws_client("sqs", localstack_url) as sqs, aws_client("s3", localstack_url) as s3:
        made = Stage(sqs, s3, plain_schema.replace("_", "-"), environment)
        await made.build()
        yield made


def bad(findings: list[Finding]) -> list[tuple[str, str]]:
    """Severity and sentence of all that is not good."""
    return [(each.severity, each.sentence) for each in findings if each.severity != "good"]


async def test_where_all_is_well_nothing_else_is_said(stage: Stage) -> None:
    """Two good findings, exit 0, and the queue is as it was."""
    await stage.sqs.send_message(QueueUrl=stage.queue, MessageBody="left alone")
    findings = await stage.check()
    assert bad(findings) == []
    assert [each.kind for each in findings] == [ExitCode.DATABASE, ExitCode.QUEUE]
    answer = await stage.sqs.get_queue_attributes(QueueUrl=stage.queue, AttributeNames=["All"])
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    assert [answer["Attributes"][name] for name in names] == ["2", "0"]  # the other is S3's own test event


@pytest.mark.parametrize(
    ("attributes", "severity", "words"),
    [
        ({"MaximumMessageSize": "1024"}, "error", "set MaximumMessageSize to 65536 or more"),
        ({"MessageRetentionPeriod": "60"}, "error", "forgets a message after 60 s"),
        ({"MessageRetentionPeriod": "3600"}, "warning", "set MessageRetentionPeriod to 86400 or more"),
        ({"VisibilityTimeout": "30"}, "warning", "set VisibilityTimeout to 300"),
        ({"RedrivePolicy": ""}, "warning", "has no redrive policy"),
        ({"Policy": ""}, "warning", "lets neither S3 nor SNS nor EventBridge send to it"),
    ],
)
async def test_a_queue_that_does_not_fit(stage: Stage, attributes: dict[str, str], severity: str, words: str) -> None:
    """Its attribute, and the value to set; an error ends with the queue's code."""
    await stage.change(stage.queue, **attributes)
    findings = await stage.check()
    (found,) = [each for each in bad(findings) if each[1].startswith(f"queue {stage.queue}")]
    assert found[0] == severity
    assert words in found[1]
    assert exit_code_of(findings) is (ExitCode.QUEUE if severity == "error" else ExitCode.DRAINED)


async def test_dead_letters_that_are_forgotten_first(stage: Stage) -> None:
    """The dead-letter queue's retention is not above the source's."""
    await stage.change(stage.dead, MessageRetentionPeriod="345600")
    ((severity, sentence),) = bad(await stage.check())
    assert severity == "warning"
    assert "set the dead-letter queue's MessageRetentionPeriod to 1209600" in sentence


async def test_a_dead_letter_queue_that_is_gone(stage: Stage) -> None:
    """It cannot be looked at, and that is said."""
    await stage.sqs.delete_queue(QueueUrl=stage.dead)
    ((severity, sentence),) = bad(await stage.check())
    assert (severity, "its dead-letter queue could not be looked at (QueueDoesNotExist" in sentence) == ("note", True)


async def test_little_patience_is_not_tried(stage: Stage) -> None:
    """Where few receives are allowed none is spent on a check."""
    redrive = {"deadLetterTargetArn": await stage.arn(stage.dead), "maxReceiveCount": 1}
    await stage.change(stage.queue, RedrivePolicy=json.dumps(redrive))
    severities = [severity for severity, _ in bad(await stage.check())]
    assert severities == ["warning", "note"]
    answer = await stage.sqs.receive_message(QueueUrl=stage.queue, MessageSystemAttributeNames=["All"])
    assert answer["Messages"][0]["Attributes"]["ApproximateReceiveCount"] == "1"


async def test_a_queue_that_is_not_there(stage: Stage) -> None:
    """A wrong name exits as the queue's business, with the settings to correct."""
    findings = await stage.check(QUEUE_URLS=f"{stage.queue}-nowhere")
    assert exit_code_of(findings) is ExitCode.QUEUE
    (sentence,) = [text for severity, text in bad(findings) if severity == "error"]
    assert "does not exist in this account and region; correct SUBSCRIBER_QUEUE_URLS or AWS_REGION" in sentence


async def test_ghosts_to_come(stage: Stage) -> None:
    """A bucket that does not tell of lifecycle expirations."""
    await stage.notify(*EVERYTHING[:2])
    ((severity, sentence),) = bad(await stage.check())
    assert (severity, sentence.partition(":")[0]) == ("warning", f"bucket {stage.name}")
    assert (
        "a lifecycle rule expires stay in the index as ghosts; subscribe the queue to s3:LifecycleExpiration:*"
        in sentence
    )


async def test_a_prefix_that_fills_with_ghosts(stage: Stage) -> None:
    """Objects are told of under two prefixes, deletions under one: a line for the gap, and one for all other keys."""
    await stage.notify(logs=EVERYTHING, raw=(EVERYTHING[0], EVERYTHING[2]))
    (gap_severity, gap), (filter_severity, filtered) = bad(await stage.check())
    assert (gap_severity, filter_severity) == ("warning", "warning")
    assert gap == (
        f"bucket {stage.name}: tells of s3:ObjectRemoved only for prefix 'logs', not for prefix 'raw': there "
        "objects that are deleted stay in the index as ghosts; subscribe s3:ObjectRemoved:* for prefix 'raw' too"
    )
    assert filtered == (
        f"bucket {stage.name}: tells only of keys with prefix 'logs', prefix 'raw': others are not in the index; "
        "drop the filter if they should be"
    )


async def test_a_bucket_that_is_gone(stage: Stage) -> None:
    """The queue's policy names a bucket that does not exist any more: worth knowing."""
    await stage.s3.delete_bucket(Bucket=stage.name)
    ((severity, sentence),) = bad(await stage.check())
    assert (severity, "does not exist" in sentence) == ("note", True)
