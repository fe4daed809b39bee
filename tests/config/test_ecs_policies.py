"""The roles allow what the daemon does, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from subscriber.settings.parsers import SECRET
from tests.config.ecs_files import POLICIES, example_values, filled, validation_errors
from tests.config.shell_blocks import blocks
from tests.repo.source import texts

WITHOUT_RESOURCE = {"cloudwatch:GetMetricData", "ec2:DescribeInstanceTypes", "ecr:GetAuthorizationToken"}
"""Actions that take no resource in a policy (Service Authorization Reference)."""
QUEUE_CALLS = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}


def listed(value: str | list[str]) -> list[str]:
    """IAM writes a single value without a list."""
    return [value] if isinstance(value, str) else value


def statements(name: str) -> Iterator[dict[str, Any]]:
    """The statements of one policy."""
    yield from filled(name)["Statement"]


def allowed(name: str) -> set[str]:
    """Every action a policy allows."""
    return {action for statement in statements(name) for action in listed(statement["Action"])}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_well_formed(name: str) -> None:
    """The version of the policy language, and statements with a unique purpose each."""
    policy = filled(name)
    assert policy["Version"] == "2012-10-17"
    purposes = [statement["Sid"] for statement in policy["Statement"]]
    assert len(set(purposes)) == len(purposes)
    assert all(re.fullmatch(r"[A-Za-z0-9]+", purpose) for purpose in purposes)
    assert {statement["Effect"] for statement in policy["Statement"]} == {"Allow"}
    keys = {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}
    assert all(set(statement) <= keys for statement in policy["Statement"])


@pytest.mark.parametrize("name", ["task-role-policy.json", "execution-role-policy.json"])
def test_nothing_is_allowed_wholesale(name: str) -> None:
    """No action has a wildcard; a resource has one only if the action supports no other."""
    for statement in statements(name):
        assert not [action for action in listed(statement["Action"]) if "*" in action]
        if "*" in listed(statement["Resource"]):
            assert set(listed(statement["Action"])) <= WITHOUT_RESOURCE, statement["Sid"]
        assert all(re.match(r"\*$|arn:aws:[a-z0-9-]+:", resource) for resource in listed(statement["Resource"]))


@pytest.mark.parametrize("name", ["task-role-policy.json", "execution-role-policy.json"])
def test_a_key_is_used_through_one_service(name: str) -> None:
    """kms:Decrypt, only through the service whose data the key encrypts."""
    (key,) = [statement for statement in statements(name) if "kms" in str(statement["Action"])]
    assert key["Action"] == "kms:Decrypt"
    assert list(key["Condition"]["StringEquals"]) == ["kms:ViaService"]


def test_the_task_may_do_what_the_daemon_calls() -> None:
    """Every call of the queue, of the load sensors and for task protection."""
    sensors = "".join(text for path, text in texts().items() if path.startswith("subscriber/adapters/"))
    called = {
        f"{service}:{operation}"
        for service, operation in re.findall(r'"(pi|rds|ec2|cloudwatch)",\s*"([A-Z]\w+)"', sensors)
    }
    assert len(called) >= 4
    for_check = {"s3:GetBucketNotification", "kms:Decrypt"}
    for_jobs = {"s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketVersioning"}
    others = QUEUE_CALLS | for_check | for_jobs | {"ecs:UpdateTaskProtection"}
    assert allowed("task-role-policy.json") == called | others


def test_secrets_are_read_by_the_role_that_starts_the_task() -> None:
    """ECS reads them; the daemon's own role needs no access."""
    assert "secretsmanager:GetSecretValue" in allowed("execution-role-policy.json")
    assert "secretsmanager:GetSecretValue" not in allowed("task-role-policy.json")
    (secrets,) = [one for one in statements("execution-role-policy.json") if one["Sid"] == "Secrets"]
    named = {secret["valueFrom"] for secret in filled("task-definition.json")["containerDefinitions"][0]["secrets"]}
    assert set(secrets["Resource"]) == named


def test_the_other_ways_to_log_in_are_statements_that_fit() -> None:
    """The statements on the page about logins are like those of the policy: one action on one resource, named once."""
    (text,) = blocks(texts()["docs/how-to/database-login.md"], "json")
    more = json.loads(text)
    assert [one["Action"] for one in more] == ["rds-db:connect", "secretsmanager:GetSecretValue", "kms:Decrypt"]
    user, secret, key = (one["Resource"] for one in more)
    assert re.fullmatch(r"arn:aws:rds-db:[a-z0-9-]+:\d{12}:dbuser:cluster-[A-Z0-9]+/[a-z]+", user)
    assert SECRET.read(secret) == secret
    assert key == example_values()["SECRETS_KEY_ARN"]
    policy = filled("task-role-policy.json")
    names = [one["Sid"] for one in (*policy["Statement"], *more)]
    assert len(set(names)) == len(names)


def test_only_tasks_of_the_account_assume_the_roles() -> None:
    """The trust policy names the service and the account of the tasks."""
    (trust,) = statements("trust-policy.json")
    assert trust["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}


def test_only_the_bucket_may_send_to_the_queue() -> None:
    """Only S3 for this bucket of this account may send, and every call needs TLS."""
    send, clear = json.loads(filled("queue.json")["Attributes"]["Policy"])["Statement"]
    assert send["Principal"] == {"Service": "s3.amazonaws.com"}
    assert send["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnEquals": {"aws:SourceArn": "arn:aws:s3:::lake-raw"},
    }
    assert (clear["Effect"], clear["Principal"], clear["Action"]) == ("Deny", "*", "sqs:*")
    assert clear["Resource"] == send["Resource"]
    assert clear["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("name", ["task-role-policy.json", "execution-role-policy.json"])
def test_iam_accepts_the_policy(name: str) -> None:
    """It is valid as the parameter of the call, within the 10,240 characters of a role's inline policies."""
    text = json.dumps(filled(name), separators=(",", ":"))
    parameters = {"RoleName": "subscriber-task", "PolicyName": "subscriber", "PolicyDocument": text}
    assert validation_errors("iam", "PutRolePolicy", parameters) == ""
    assert len(text) < 10_240
