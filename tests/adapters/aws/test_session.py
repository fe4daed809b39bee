"""Region, endpoint and error translation."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError

from subscriber.adapters.aws.session import (
    call_error,
    client_config,
    endpoint_of,
    session_with_region,
    unusable_settings,
)
from subscriber.errors import ConfigurationError


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
    assert endpoint_of(queue, "http://127.0.0.1:4566") == "http://127.0.0.1:4566"
    with pytest.raises(ConfigurationError, match="has a path"):
        endpoint_of(queue, "http://127.0.0.1:4566/sqs")


DEFAULT = "https://sqs.eu-west-1.amazonaws.com"
VPC_HOST = "vpce-0abc-def.sqs.eu-west-1.vpce.amazonaws.com"


@pytest.mark.parametrize(
    ("host", "resolved", "endpoint"),
    [
        ("sqs.eu-west-1.amazonaws.com", DEFAULT, DEFAULT),
        ("eu-west-1.queue.amazonaws.com", DEFAULT, DEFAULT),
        (VPC_HOST, DEFAULT, f"https://{VPC_HOST}"),
        ("sqs-fips.eu-west-1.amazonaws.com", DEFAULT, "https://sqs-fips.eu-west-1.amazonaws.com"),
        ("sqs.eu-west-1.api.aws", DEFAULT, "https://sqs.eu-west-1.api.aws"),
        ("sqs.eu-west-1.amazonaws.com", f"https://{VPC_HOST}", f"https://{VPC_HOST}"),
        (VPC_HOST, "https://sqs-fips.eu-west-1.amazonaws.com", "https://sqs-fips.eu-west-1.amazonaws.com"),
        (VPC_HOST, "http://127.0.0.1:4566", "http://127.0.0.1:4566"),
        ("sqs.internal", "https://sqs.internal", "https://sqs.internal"),
        ("new.amazonaws.com", "https://new.amazonaws.com", "https://new.amazonaws.com"),
    ],
)
def test_the_host_of_a_queue_url_is_used(host: str, resolved: str, endpoint: str) -> None:
    """A FIPS, dual-stack or VPC endpoint in the URL is called; what AWS's variables name has priority."""
    assert endpoint_of(f"https://{host}/123456789012/events", resolved) == endpoint


def test_an_endpoint_at_aws_is_called_over_https() -> None:
    """Whatever the scheme of the queue's URL, as where botocore resolves the endpoint."""
    assert endpoint_of(f"http://{VPC_HOST}/123456789012/events", DEFAULT) == f"https://{VPC_HOST}"


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("sqs.internal", "not an AWS host"),
        ("sqs.new.eu-west-1.amazonaws.com", "no endpoint of SQS that is known"),
        ("vpce-0abc.sqs.amazonaws.com", "no endpoint of SQS that is known"),
    ],
)
def test_a_host_that_would_not_be_called_is_rejected_with_the_variable(host: str, kind: str) -> None:
    """Calls never go silently to another host than the URL's."""
    with pytest.raises(ConfigurationError) as caught:
        endpoint_of(f"https://{host}/123456789012/events", DEFAULT)
    assert str(caught.value) == (
        f"the host of the queue https://{host}/123456789012/events is {kind}, and calls would go to {DEFAULT}: "
        f"set AWS_ENDPOINT_URL_SQS=https://{host}"
    )


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


def test_settings_that_cannot_be_used_name_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle of certificates is among them where it is set: its error names no file."""
    variables = "AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL (http:// or https:// and a host)"
    error = FileNotFoundError(2, "No such file or directory")
    problem = "the AWS settings cannot be used: [Errno 2] No such file or directory; check"
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    assert str(unusable_settings(error)) == f"{problem} {variables}"
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/bundle.pem")
    assert str(unusable_settings(error)) == f"{problem} AWS_CA_BUNDLE (a file of certificates as PEM), {variables}"


def test_botocores_exception_says_when_to_try_again() -> None:
    """From the same header as our own client's."""
    headers = {"x-amz-retry-after": "2500"}
    response = {"Error": {"Code": "RequestThrottled"}, "ResponseMetadata": {"HTTPHeaders": headers}}
    assert call_error(ClientError(response, "GetQueueAttributes")).retry_after_seconds == 2.5
    assert call_error(client_error(Code="RequestThrottled")).retry_after_seconds == 0
