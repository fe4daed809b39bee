"""Denied and failed AWS calls that LocalStack cannot produce, against a scripted server, and their findings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from subscriber.adapters.postgres.connection import StoreOptions
from subscriber.adapters.postgres.migrations import migrate
from subscriber.check.rules.finding import exit_code_of
from subscriber.check.run import findings_of
from subscriber.errors import ExitCode
from subscriber.settings.table import Settings
from testkit.aws.aws_services import AwsServices, Fault, NoAnswer
from tests.check.test_run import POLICY
from tests.e2e.conftest import plain_schema as plain_schema  # noqa: PLC0414 - a fixture
from tests.fixtures.ports import closed_port

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
GOOD: Mapping[str, Any] = {
    "GetQueueAttributes": {
        "Attributes": {
            "QueueArn": "arn:aws:sqs:eu-west-1:123456789012:events",
            "MessageRetentionPeriod": "345600",
            "VisibilityTimeout": "300",
            "KmsMasterKeyId": "alias/lake",
            "Policy": json.dumps(POLICY),
        }
    },
    "DeleteMessageBatch": {
        "Successful": [],
        "Failed": [{"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}],
    },
    "ChangeMessageVisibilityBatch": Fault("ReceiptHandleIsInvalid"),
    "ReceiveMessage": {},
}
ROLE = {"UserId": "AROA:task", "Account": "123456789012", "Arn": "arn:aws:sts::123456789012:assumed-role/lake/task"}


@pytest.fixture
async def aws(aws_services: AwsServices, migrated_plain: dict[str, str]) -> AwsServices:
    """A queue where every call is allowed; only the buckets cannot be read."""
    for operation, answer in GOOD.items():
        aws_services.answer("sqs", operation, answer)
    aws_services.answer("sts", "GetCallerIdentity", ROLE)
    return aws_services


@pytest.fixture
async def migrated_plain(postgres_url: str, plain_schema: str) -> dict[str, str]:
    """The settings with a migrated database."""
    await migrate(StoreOptions(url=postgres_url, schema=plain_schema, tls="disable"))
    return {
        "SUBSCRIBER_QUEUE_URLS": QUEUE,
        "SUBSCRIBER_DATABASE_URL": postgres_url,
        "SUBSCRIBER_DATABASE_SCHEMA": plain_schema,
    }


async def errors(environment: dict[str, str]) -> list[str]:
    """The texts of the errors, which must all concern the queue."""
    findings = [each for each in await findings_of(Settings.from_environment(environment)) if each.severity == "error"]
    assert {each.kind for each in findings} == {ExitCode.QUEUE}
    return [each.text for each in findings]


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("GetQueueAttributes", "sqs:GetQueueAttributes"),
        ("ReceiveMessage", "sqs:ReceiveMessage"),
        ("DeleteMessageBatch", "sqs:DeleteMessage"),
        ("ChangeMessageVisibilityBatch", "sqs:ChangeMessageVisibility"),
    ],
)
async def test_each_missing_permission_is_reported(
    aws: AwsServices, migrated_plain: dict[str, str], operation: str, action: str
) -> None:
    """The finding names the permission and the caller."""
    aws.answer("sqs", operation, Fault.denied(action))
    (text,) = await errors(migrated_plain)
    assert text.startswith(f"access denied to {action} ")
    assert text.endswith(f"; allow the role {action} on this queue; you are {ROLE['Arn']}")


async def test_a_kms_key_that_the_role_may_not_use(aws: AwsServices, migrated_plain: dict[str, str]) -> None:
    """The queue is encrypted and kms:Decrypt is missing: the finding names the key."""
    aws.answer("sqs", "ReceiveMessage", Fault("KmsAccessDenied", message="not authorized to perform: kms:Decrypt"))
    (text,) = await errors(migrated_plain)
    assert "kms:Decrypt with the key alias/lake" in text


async def test_a_queue_of_another_account(aws: AwsServices, migrated_plain: dict[str, str]) -> None:
    """The finding names both accounts and says that the queue's own policy must allow the call."""
    aws.answer("sqs", "GetQueueAttributes", Fault("QueueDoesNotExist"))
    aws.answer("sts", "GetCallerIdentity", ROLE | {"Account": "999999999999"})
    (text,) = await errors(migrated_plain)
    assert "the queue belongs to account 123456789012" in text
    assert "of account 999999999999: for another account, the queue's own policy must allow it too" in text


async def test_unknown_credentials(aws: AwsServices, migrated_plain: dict[str, str]) -> None:
    """The finding has AWS's error code and what to correct."""
    aws.answer("sqs", "GetQueueAttributes", Fault("UnrecognizedClientException", 403))
    (text,) = await errors(migrated_plain)
    assert text.startswith("AWS does not accept the credentials (UnrecognizedClientException")


async def test_an_endpoint_that_does_not_answer(
    migrated_plain: dict[str, str], aws_environment: pytest.MonkeyPatch
) -> None:
    """The connection is refused: the remedy lists what to check, from the URL to the network."""
    with closed_port() as port:
        aws_environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        (text,) = await errors(migrated_plain)
    assert text.startswith("cannot be reached (")
    assert "AWS_ENDPOINT_URL_SQS" in text


async def test_an_endpoint_without_its_scheme(
    migrated_plain: dict[str, str], aws_environment: pytest.MonkeyPatch
) -> None:
    """A common mistake with LocalStack: the finding names the AWS variables to check; the exit code is 2."""
    aws_environment.setenv("AWS_ENDPOINT_URL", "localhost:4566")
    findings = await findings_of(Settings.from_environment(migrated_plain))
    (finding,) = [each for each in findings if each.severity == "error"]
    assert finding.kind is ExitCode.CONFIGURATION
    assert finding.sentence == (
        "the AWS settings cannot be used: Invalid endpoint: localhost:4566; check AWS_PROFILE, AWS_REGION and "
        "AWS_ENDPOINT_URL (http:// or https:// and a host)"
    )


async def test_a_queue_that_does_not_answer(
    aws: AwsServices, migrated_plain: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call times out, and the other findings are still reported."""
    monkeypatch.setattr("subscriber.check.run.PART_SECONDS", 5.0)
    aws.answer("sqs", "GetQueueAttributes", NoAnswer())
    (text,) = await errors(migrated_plain)
    assert text.startswith("did not answer within 5 s; check DNS and the security group")


async def test_no_credentials_at_all(migrated_plain: dict[str, str], aws_environment: pytest.MonkeyPatch) -> None:
    """The finding says what to set; the database is checked nevertheless."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws_environment.delenv(name)
    aws_environment.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    aws_environment.setenv("AWS_CONFIG_FILE", "/nonexistent")
    findings = await findings_of(Settings.from_environment(migrated_plain))
    assert exit_code_of(findings) is ExitCode.QUEUE
    (error,) = [each for each in findings if each.severity == "error"]
    assert error.sentence == (
        "region eu-west-1: no AWS credentials were found in environment, profile or container role; give the task a "
        "role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )
    assert any(each.kind is ExitCode.DATABASE and each.severity == "good" for each in findings)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "localhost:4566"])
async def test_an_unreachable_s3_is_a_note(
    aws: AwsServices, migrated_plain: dict[str, str], aws_environment: pytest.MonkeyPatch, endpoint: str
) -> None:
    """The remedy is about the network, not about a permission; an invalid endpoint gives no traceback either."""
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    findings = await findings_of(Settings.from_environment(migrated_plain))
    (note,) = [each for each in findings if each.severity == "note" and each.subject == "bucket BUCKET"]
    assert endpoint in note.problem
    assert note.remedy.startswith("to check them, make sure that S3 can be reached")
    assert exit_code_of(findings) is ExitCode.DRAINED


async def test_buckets_that_the_role_may_not_read_are_a_note(aws: AwsServices, migrated_plain: dict[str, str]) -> None:
    """The daemon needs no permission on buckets; the note names the permission that the check needs."""
    findings = await findings_of(Settings.from_environment(migrated_plain))
    (note,) = [each for each in findings if each.subject == "bucket BUCKET"]
    assert (note.severity, note.kind) == ("note", ExitCode.QUEUE)
    assert "allow s3:GetBucketNotification" in note.remedy
    assert exit_code_of(findings) is ExitCode.DRAINED
