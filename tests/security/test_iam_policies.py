"""The policies of config/iam: the daemon may do only what it needs, and only S3 may send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.session import get_session

from subscriber.adapters.sqs import wire
from subscriber.adapters.sqs.client import Sqs
from subscriber.adapters.sqs.dead_letters import DeadLetterCalls

IAM = Path(__file__).parents[2] / "config/iam"

_ACTION_OF_BATCH = {
    # The actions of batch calls are those of the single ones (SQS Developer Guide, "Amazon SQS API permissions").
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "SendMessageBatch": "SendMessage",
}


def statements(name: str) -> list[dict[str, Any]]:
    """The statements of a policy."""
    policy = json.loads((IAM / name).read_text())
    assert policy["Version"] == "2012-10-17"
    found: list[dict[str, Any]] = policy["Statement"]
    return found


def called_operations() -> set[str]:
    """Every operation of the SQS adapter: those of the JSON client, and that of aiobotocore in `attributes`."""
    targets = {value for name, value in vars(wire).items() if name.endswith("_TARGET")}
    assert "get_queue_attributes" in Sqs.attributes.__code__.co_names
    return {target.partition(".")[2] for target in targets} | {"GetQueueAttributes"}


def test_the_daemon_may_do_only_what_it_needs() -> None:
    """An action for every call and a call for every action, only on the queue, without wildcards."""
    (statement,) = statements("daemon-policy.json")
    actions = {_ACTION_OF_BATCH.get(operation, operation) for operation in called_operations()}
    assert sorted(statement["Action"]) == sorted(f"sqs:{action}" for action in actions)
    assert "*" not in json.dumps(statement)
    assert statement["Effect"] == "Allow"


def test_a_redrive_may_do_what_its_calls_need() -> None:
    """An action for every call of the dead-letter adapter, and a call for every action."""
    methods = [each for each in vars(DeadLetterCalls).values() if hasattr(each, "__code__")]
    operations = {xform_name(name): name for name in get_session().get_service_model("sqs").operation_names}
    called = {operations[each] for method in methods for each in method.__code__.co_consts if each in operations}
    actions = {_ACTION_OF_BATCH.get(operation, operation) for operation in called | {"GetQueueAttributes"}}
    given = {action for statement in statements("redrive-policy.json") for action in statement["Action"]}
    assert given == {f"sqs:{action}" for action in actions}
    assert all("*" not in json.dumps(statement) for statement in statements("redrive-policy.json"))


def test_a_reconciliation_only_lists() -> None:
    """It reads the names of a bucket's objects and its configuration, and no object."""
    (statement,) = statements("reconcile-policy.json")
    names = ["GetBucketNotification", "GetBucketVersioning", "ListBucket", "ListBucketVersions"]
    assert sorted(statement["Action"]) == [f"s3:{name}" for name in names]
    assert statement["Resource"] == "arn:aws:s3:::BUCKET"


def test_the_operations_exist() -> None:
    """With the names of the SQS API."""
    operations = get_session().get_service_model("sqs").operation_names
    assert called_operations() <= set(operations)


def test_only_the_bucket_may_send() -> None:
    """A sender can write into the index: so only S3 may send, for one bucket of one account."""
    allowed = [statement for statement in statements("queue-policy.json") if statement["Effect"] == "Allow"]
    (statement,) = allowed
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"]["ArnLike"]["aws:SourceArn"] == "arn:aws:s3:::BUCKET"
    assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == "ACCOUNT"


def test_plain_http_is_denied() -> None:
    """The queue denies plain HTTP to every principal."""
    (statement,) = (each for each in statements("queue-policy.json") if each["Effect"] == "Deny")
    assert (statement["Principal"], statement["Condition"]) == ("*", {"Bool": {"aws:SecureTransport": "false"}})
