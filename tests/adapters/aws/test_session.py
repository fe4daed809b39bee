"""Region, endpoint and error translation."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError

from subscriber.adapters.aws.session import (
    call_error,
    client_config,
    region_of,
    require_usable_endpoint,
    session_with_region,
)
from subscriber.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/events", "eu-west-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/events", "us-gov-west-1"),
        ("https://sqs.eu-central-1.api.aws/123456789012/events", "eu-central-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/events", "cn-north-1"),
        ("https://us-east-1.queue.amazonaws.com/123456789012/events", "us-east-1"),
        ("https://queue.amazonaws.com/123456789012/events", "us-east-1"),
        ("http://127.0.0.1:4566/000000000000/events", None),
        ("http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/events", None),
    ],
)
def test_the_region_of_a_queue_url(url: str, region: str | None) -> None:
    """All forms of queue URLs; a custom endpoint names no region."""
    assert region_of(url) == region


def test_aws_region_has_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """ECS sets AWS_REGION, botocore alone reads AWS_DEFAULT_REGION."""
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    session = session_with_region(("http://127.0.0.1/000000000000/events",))
    assert session.get_config_variable("region") == "eu-west-3"


def test_a_missing_region_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless every queue URL names its region."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    session_with_region(("https://sqs.eu-west-1.amazonaws.com/123456789012/events",))
    with pytest.raises(ConfigurationError, match="names no region: set AWS_REGION"):
        session_with_region(("http://127.0.0.1/000000000000/events",))


def test_an_endpoint_has_no_path() -> None:
    """SQS clients would silently drop the path, so it is rejected."""
    queue = "http://127.0.0.1:4566/000000000000/events"
    require_usable_endpoint(queue, "http://127.0.0.1:4566")
    with pytest.raises(ConfigurationError, match="has a path"):
        require_usable_endpoint(queue, "http://127.0.0.1:4566/sqs")


def test_botocore_does_not_retry() -> None:
    """Only our own layer retries; explicit, because botocore's defaults differ between releases."""
    config = client_config(connections=3, read_timeout_seconds=20)
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}
    assert (config.max_pool_connections, config.connect_timeout, config.read_timeout) == (3, 5, 20)


def client_error(**error: str) -> ClientError:
    """The exception of botocore for this error."""
    return ClientError({"Error": error}, "ReceiveMessage")


@pytest.mark.parametrize(
    ("error", "code", "is_permanent"),
    [
        (
            client_error(Code="AWS.SimpleQueueService.NonExistentQueue", QueryErrorCode="QueueDoesNotExist"),
            "QueueDoesNotExist",
            True,
        ),
        (client_error(Code="AWS.SimpleQueueService.NonExistentQueue"), "QueueDoesNotExist", True),
        (client_error(Code="com.amazonaws.sqs#QueueDoesNotExist"), "QueueDoesNotExist", True),
        (client_error(Code="RequestThrottled"), "RequestThrottled", False),
        (client_error(Code="AccessDenied"), "AccessDenied", True),
        (NoCredentialsError(), "NoCredentials", True),
        (ConnectTimeoutError(endpoint_url="http://sqs"), "ConnectTimeout", False),
        (TimeoutError(), "Timeout", False),
        (ConnectionResetError(), "ConnectionResetError", False),
    ],
)
def test_exceptions_become_queue_call_errors(error: BaseException, code: str, is_permanent: bool) -> None:
    """The query protocol's code if there is one, else a short name; and whether the error is permanent."""
    ours = call_error(error)
    assert (ours.code, ours.is_permanent) == (code, is_permanent)
