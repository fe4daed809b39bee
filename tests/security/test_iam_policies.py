"""The policies of config/iam: the daemon may do what it does, and S3 alone may send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from botocore.session import get_session

from subscriber.adapters.sqs import wire
from subscriber.adapters.sqs.client import Sqs

IAM = Path(__file__).parents[2] / "config/iam"

_ACTION_OF_BATCH = {
    # The actions of batch calls are those of the single ones (SQS developer guide, "Amazon SQS API permissions").
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}


def statements(name: str) -> list[dict[str, Any]]:
    """What a policy says."""
    policy = json.loads((IAM / name).read_text())
    assert policy["Version"] == "2012-10-17"
    found: list[dict[str, Any]] = policy["Statement"]
    return found


def called_operations() -> set[str]:
    """Every operation that the queues' edge calls: by its own client, and by aiobotocore's in `attributes`."""
    targets = {value for name, value in vars(wire).items() if name.endswith("_TARGET")}
    assert "get_queue_attributes" in Sqs.attributes.__code__.co_names
    return {target.partition(".")[2] for target in targets} | {"GetQueueAttributes"}


def test_the_daemon_may_do_what_it_does_and_nothing_else() -> None:
    """An action for every call there is, a call for every action, on the queue alone, and no wildcard."""
    (statement,) = statements("daemon-policy.json")
    actions = {_ACTION_OF_BATCH.get(operation, operation) for operation in called_operations()}
    assert sorted(statement["Action"]) == sorted(f"sqs:{action}" for action in actions)
    assert "*" not in json.dumps(statement)
    assert statement["Effect"] == "Allow"


def test_the_calls_exist() -> None:
    """By the names that AWS gives them."""
    operations = get_session().get_service_model("sqs").operation_names
    assert called_operations() <= set(operations)


def test_only_the_bucket_may_send() -> None:
    """Whoever could send could write into the index: so S3, for one bucket of one account, and nobody else."""
    allowed = [statement for statement in statements("queue-policy.json") if statement["Effect"] == "Allow"]
    (statement,) = allowed
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"]["ArnLike"]["aws:SourceArn"] == "arn:aws:s3:::BUCKET"
    assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == "ACCOUNT"


def test_nobody_speaks_in_the_clear() -> None:
    """The queue refuses plain HTTP, whoever asks."""
    (statement,) = (each for each in statements("queue-policy.json") if each["Effect"] == "Deny")
    assert (statement["Principal"], statement["Condition"]) == ("*", {"Bool": {"aws:SecureTransport": "false"}})
