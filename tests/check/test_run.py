"""Mistakes with real queues and buckets, and the finding about each."""

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
from testkit.postgres.postgres import LocalPostgres
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


class Account:
    """Queues and a bucket in LocalStack, a database schema, and the settings for them."""

    def __init__(self, sqs: Client, s3: Client, name: str, environment: dict[str, str]) -> None:
        self.sqs, self.s3, self.name, self._environment = sqs, s3, name, environment
        self.queue = self.dead = ""

    async def build(self) -> None:
        """Create a queue and a bucket as the documentation recommends."""
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
        """Configure the bucket's notifications: events of every key, or events of keys with a prefix."""
        arn = await self.arn(self.queue)
        subscriptions: list[dict[str, Any]] = [{"QueueArn": arn, "Events": list(events)}] if events else []
        for prefix, prefix_events in of_prefix.items():
            rules = {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}}
            subscriptions.append({"QueueArn": arn, "Events": list(prefix_events), "Filter": rules})
        await self.s3.put_bucket_notification_configuration(
            Bucket=self.name, NotificationConfiguration={"QueueConfigurations": subscriptions}
        )

    async def check(self, **changed: str) -> list[Finding]:
        """Run the check; `changed` names settings without their prefix."""
        values = {"QUEUE_URLS": self.queue} | changed
        environment = self._environment | {f"SUBSCRIBER_{name}": value for name, value in values.items()}
        return await findings_of(Settings.from_environment(environment))


@pytest.fixture
async def account(
    postgres_url: str,
    plain_schema: str,
    localstack_url: str,
    aws_client: OpenClient,
    aws_environment: pytest.MonkeyPatch,
) -> AsyncIterator[Account]:
    """A correct configuration; a test breaks one part of it."""
    await migrate(StoreOptions(url=postgres_url, schema=plain_schema, tls="disable"))
    aws_environment.setenv("AWS_REGION", "us-east-1")
    aws_environment.setenv("AWS_ENDPOINT_URL", localstack_url)
    environment = {"SUBSCRIBER_DATABASE_URL": postgres_url, "SUBSCRIBER_DATABASE_SCHEMA": plain_schema}
    async with aws_client("sqs", localstack_url) as sqs, aws_client("s3", localstack_url) as s3:
        created = Account(sqs, s3, plain_schema.replace("_", "-"), environment)
        await created.build()
        yield created


def bad(findings: list[Finding]) -> list[tuple[str, str]]:
    """Severity and sentence of all findings that are not good; that the tests' server runs without fsync is known."""
    return [
        (each.severity, each.sentence)
        for each in findings
        if each.severity != "good" and "a crash of its machine" not in each.problem
    ]


async def test_a_correct_configuration_has_no_problems(account: Account) -> None:
    """Two good findings, and the queue is unchanged."""
    await account.sqs.send_message(QueueUrl=account.queue, MessageBody="left alone")
    findings = await account.check()
    assert bad(findings) == []
    assert [each.kind for each in findings if each.severity == "good"] == [ExitCode.DATABASE, ExitCode.QUEUE]
    answer = await account.sqs.get_queue_attributes(QueueUrl=account.queue, AttributeNames=["All"])
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    assert [answer["Attributes"][name] for name in names] == ["2", "0"]  # the other is S3's own test event


async def test_a_server_without_fsync_is_a_warning(account: Account, postgres_server: LocalPostgres) -> None:
    """Not in the way of a start: the exit code is 0."""
    await migrate(StoreOptions(url=postgres_server.url, schema="subscriber", tls="disable"))
    found = await account.check(DATABASE_URL=postgres_server.url, DATABASE_SCHEMA="subscriber")
    assert [each.severity for each in found if "has fsync and full_page_writes off" in each.problem] == ["warning"]
    assert exit_code_of(found) is ExitCode.DRAINED


@pytest.mark.parametrize(
    ("attributes", "severity", "words"),
    [
        ({"MaximumMessageSize": "1024"}, "error", "set MaximumMessageSize to 65536 or more"),
        ({"MessageRetentionPeriod": "60"}, "error", "deletes a message after 60 s"),
        ({"MessageRetentionPeriod": "3600"}, "warning", "set MessageRetentionPeriod to 86400 or more"),
        ({"VisibilityTimeout": "30"}, "warning", "set VisibilityTimeout to 300"),
        ({"RedrivePolicy": ""}, "warning", "has no redrive policy"),
        ({"Policy": ""}, "warning", "has no policy that allows S3, SNS or EventBridge to send to it"),
    ],
)
async def test_a_queue_that_does_not_fit(
    account: Account, attributes: dict[str, str], severity: str, words: str
) -> None:
    """The finding names the attribute and the value to set; an error has the queue's exit code."""
    await account.change(account.queue, **attributes)
    findings = await account.check()
    (found,) = [each for each in bad(findings) if each[1].startswith(f"queue {account.queue}")]
    assert found[0] == severity
    assert words in found[1]
    assert exit_code_of(findings) is (ExitCode.QUEUE if severity == "error" else ExitCode.DRAINED)


async def test_dead_letters_that_expire_first(account: Account) -> None:
    """The retention of the dead-letter queue is not longer than that of the source."""
    await account.change(account.dead, MessageRetentionPeriod="345600")
    ((severity, sentence),) = bad(await account.check())
    assert severity == "warning"
    assert "set the dead-letter queue's MessageRetentionPeriod to 1209600" in sentence


async def test_a_dead_letter_queue_that_is_gone(account: Account) -> None:
    """A note says that it could not be checked."""
    await account.sqs.delete_queue(QueueUrl=account.dead)
    ((severity, sentence),) = bad(await account.check())
    assert (severity, "its dead-letter queue could not be checked (QueueDoesNotExist" in sentence) == ("note", True)


async def test_no_receive_is_tested_with_a_low_max_receive_count(account: Account) -> None:
    """The check does not receive the message, and a note says so."""
    redrive = {"deadLetterTargetArn": await account.arn(account.dead), "maxReceiveCount": 1}
    await account.change(account.queue, RedrivePolicy=json.dumps(redrive))
    severities = [severity for severity, _ in bad(await account.check())]
    assert severities == ["warning", "note"]
    answer = await account.sqs.receive_message(QueueUrl=account.queue, MessageSystemAttributeNames=["All"])
    assert answer["Messages"][0]["Attributes"]["ApproximateReceiveCount"] == "1"


async def test_a_queue_that_does_not_exist(account: Account) -> None:
    """The exit code is the queue's, and the remedy names the settings to correct."""
    findings = await account.check(QUEUE_URLS=f"{account.queue}-nowhere")
    assert exit_code_of(findings) is ExitCode.QUEUE
    (sentence,) = [text for severity, text in bad(findings) if severity == "error"]
    assert "does not exist in this account and region; correct SUBSCRIBER_QUEUE_URLS or AWS_REGION" in sentence


async def test_missing_lifecycle_events(account: Account) -> None:
    """A bucket that sends no lifecycle expirations."""
    await account.notify(*EVERYTHING[:2])
    ((severity, sentence),) = bad(await account.check())
    assert (severity, sentence.partition(":")[0]) == ("warning", f"bucket {account.name}")
    assert "a lifecycle rule expires remain in the index; subscribe the queue to s3:LifecycleExpiration:*" in sentence


async def test_a_prefix_without_removed_events(account: Account) -> None:
    """Created events for two prefixes, removed events for one: one finding for the gap, one for all other keys."""
    await account.notify(logs=EVERYTHING, raw=(EVERYTHING[0], EVERYTHING[2]))
    (gap_severity, gap), (filter_severity, filtered) = bad(await account.check())
    assert (gap_severity, filter_severity) == ("warning", "warning")
    assert gap == (
        f"bucket {account.name}: sends s3:ObjectRemoved only for prefix 'logs', not for prefix 'raw': there "
        "deleted objects remain in the index; subscribe s3:ObjectRemoved:* for prefix 'raw' too"
    )
    assert filtered == (
        f"bucket {account.name}: sends events only for keys with prefix 'logs', prefix 'raw': other keys are not in "
        "the index; remove the filter if they should be"
    )


async def test_buckets_of_the_setting_are_checked(account: Account) -> None:
    """Before the first event neither policy nor index names a bucket: SUBSCRIBER_BUCKETS does, and a note says so."""
    await account.change(account.queue, Policy="")
    await account.notify(EVERYTHING[0])
    notes = [text for severity, text in bad(await account.check()) if severity == "note"]
    (note,) = notes
    assert note == (
        "buckets: no bucket's notifications were checked: neither a queue's policy nor the index names a bucket; to "
        "check them, name them in SUBSCRIBER_BUCKETS"
    )
    found = bad(await account.check(BUCKETS=f"{account.name},{account.name}-gone"))
    assert [text.partition(" does not")[0] for _, text in found if text.startswith("bucket ")] == [
        f"bucket {account.name}:",
        f"bucket {account.name}:",
        f"bucket {account.name}-gone: is named by a queue's policy, by SUBSCRIBER_BUCKETS or by the index, but",
    ]


async def test_a_deleted_bucket(account: Account) -> None:
    """A note says that the queue's policy names a bucket that does not exist."""
    await account.s3.delete_bucket(Bucket=account.name)
    ((severity, sentence),) = bad(await account.check())
    assert (severity, "does not exist" in sentence) == ("note", True)


async def test_a_schedule_is_tried_on_the_bucket(account: Account) -> None:
    """A bucket that can be listed needs only its first comparison; one that is gone cannot be compared."""
    found = bad(await account.check(BUCKETS=account.name, RECONCILE_EVERY_HOURS="24"))
    assert [(severity, "never compared" in text) for severity, text in found] == [("note", True)]
    found = bad(await account.check(BUCKETS=f"{account.name}-gone", RECONCILE_EVERY_HOURS="24"))
    assert [text.partition(" cannot be")[0] for severity, text in found if severity == "warning"] == [
        f"bucket {account.name}-gone:"
    ]
