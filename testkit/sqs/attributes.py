"""The attributes of a queue, with the service's ranges and defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from testkit.sqs import errors, limits

ACCOUNT = "000000000000"
"""The account that every queue of the emulator belongs to."""

_KEPT_VERBATIM = frozenset(
    {
        "Policy",
        "RedriveAllowPolicy",
        "SqsManagedSseEnabled",
        "KmsMasterKeyId",
        "KmsDataKeyReusePeriodSeconds",
    }
)
"""Attributes without an effect here: GetQueueAttributes returns them unchanged."""

_RANGES = {
    "VisibilityTimeout": (0, limits.MAX_VISIBILITY_SECONDS),
    "DelaySeconds": (0, limits.MAX_DELAY_SECONDS),
    "MaximumMessageSize": (1_024, limits.MAX_MESSAGE_BYTES),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, limits.MAX_WAIT_SECONDS),
}
"""Minimum and maximum, in seconds or bytes by the attribute's name."""


class RedrivePolicy(msgspec.Struct, frozen=True, gc=False):
    """The dead-letter queue, and how many receives a message has before it moves there."""

    target_arn: str = msgspec.field(name="deadLetterTargetArn")
    max_receive_count: int | str = msgspec.field(name="maxReceiveCount", default=10)


class QueueAttributes(msgspec.Struct, frozen=True, gc=False):
    """The settable attributes, parsed."""

    visibility_timeout_seconds: int = 30
    delay_seconds: int = 0
    max_message_bytes: int = limits.MAX_MESSAGE_BYTES
    retention_seconds: int = 345_600
    """Returned but not enforced: no test runs as long as its minimum of a minute."""
    receive_wait_seconds: int = 0
    dead_letter_arn: str | None = None
    max_receive_count: float = math.inf
    """How many receives a message has before it moves; infinite without a dead-letter queue."""
    given: Mapping[str, str] = {}
    """The attributes as the requests set them."""

    def changed(self, given: Mapping[str, str]) -> QueueAttributes:
        """A copy with some attributes changed.

        Raises:
            errors.RejectedError: InvalidAttributeName or InvalidAttributeValue.
        """
        merged = {**self.given, **given}
        for name in given:
            _check_name(name)
        redrive = _redrive_policy(merged.get("RedrivePolicy", ""))
        return QueueAttributes(
            visibility_timeout_seconds=_number(merged, "VisibilityTimeout", 30),
            delay_seconds=_number(merged, "DelaySeconds", 0),
            max_message_bytes=_number(merged, "MaximumMessageSize", limits.MAX_MESSAGE_BYTES),
            retention_seconds=_number(merged, "MessageRetentionPeriod", 345_600),
            receive_wait_seconds=_number(merged, "ReceiveMessageWaitTimeSeconds", 0),
            dead_letter_arn=redrive.target_arn if redrive else None,
            max_receive_count=int(redrive.max_receive_count) if redrive else math.inf,
            given=merged,
        )

    def described(self) -> dict[str, str]:
        """Name to value, as GetQueueAttributes returns them."""
        verbatim = {name: value for name, value in self.given.items() if name in _KEPT_VERBATIM and value}
        if self.dead_letter_arn is not None:
            verbatim["RedrivePolicy"] = self.given["RedrivePolicy"]
        return {
            "VisibilityTimeout": str(self.visibility_timeout_seconds),
            "DelaySeconds": str(self.delay_seconds),
            "MaximumMessageSize": str(self.max_message_bytes),
            "MessageRetentionPeriod": str(self.retention_seconds),
            "ReceiveMessageWaitTimeSeconds": str(self.receive_wait_seconds),
            "SqsManagedSseEnabled": "true",
            **verbatim,
        }


def _check_name(name: str) -> None:
    if name not in _RANGES and name not in _KEPT_VERBATIM and name != "RedrivePolicy":
        raise errors.INVALID_ATTRIBUTE_NAME.because(f"Unknown Attribute {name}.")


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name)
    if text is None:
        return default
    low, high = _RANGES[name]
    if text.isascii() and text.isdigit() and len(text) <= 10 and low <= int(text) <= high:
        return int(text)
    raise errors.INVALID_ATTRIBUTE_VALUE.because(f"Invalid value for the parameter {name}.")


def _redrive_policy(text: str) -> RedrivePolicy | None:
    if not text:
        return None
    try:
        policy = msgspec.json.decode(text, type=RedrivePolicy)
        count = int(policy.max_receive_count)
    except (msgspec.DecodeError, ValueError):
        count = 0
        policy = None
    if policy is None or not 1 <= count <= 1_000:
        raise errors.INVALID_PARAMETER.because(
            f"Value {text} for parameter RedrivePolicy is invalid. "
            "Reason: it names a deadLetterTargetArn and a maxReceiveCount from 1 to 1000."
        )
    return policy
