"""What several settings must add up to: one declaration per sum, checked at start and printed as reference.

Each sum is a promise of the line that no single range can keep: that a batch never waits for room which its
own siblings hold, that a lease outlives the writes of its messages, that a stop fits its budget.

Whether the ways to prove who we are fit together: DATABASE_AUTH, the URL, the secret and TLS. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from subscriber.settings.database_url import DatabaseUrl
from subscriber.settings.parsers import PREFIX


class Constraint(msgspec.Struct, frozen=True):
    """`left` must not be more than `right`."""

    settings: tuple[str, ...]
    """Names of the settings that stand for the holes of `left_formula` and `right_formula`, in order."""
    left_formula: str
    right_formula: str
    left: Callable[..., float]
    right: Callable[..., float]
    reason: str

    @property
    def formula(self) -> str:
        """The sum with the names of its variables."""
        return f"{self.left_formula} ≤ {self.right_formula}".format(*(PREFIX + s.upper() for s in self.settings))

    def broken_by(self, numbers: Mapping[str, float]) -> str | None:
        """The sentence for the operator where the sum does not come out, else None.

        None as well where a number is missing: then that setting has its own complaint already.
        """
        if not all(name in numbers for name in self.settings):
            return None
        values = [numbers[name] for name in self.settings]
        left, right = self.left(*values), self.right(*values)
        if left <= right:
            return None
        shown = f"{self.left_formula} = {left:.10g} is more than {right:.10g}"
        return f"{self.formula} does not hold: {shown.format(*(f'{v:.10g}' for v in values))}; {self.reason}"


CONSTRAINTS = (
    Constraint(
        settings=("write_min_concurrency", "write_max_concurrency"),
        left_formula="{0}",
        right_formula="{1}",
        left=lambda least, _: least,
        right=lambda _, most: most,
        reason="the least concurrency cannot be above the most",
    ),
    Constraint(
        settings=("database_cpu_target_percent", "database_cpu_max_percent"),
        left_formula="{0}",
        right_formula="{1}",
        left=lambda target, _: target,
        right=lambda _, most: most,
        reason="the CPU that may be used rises from the target to the maximum",
    ),
    Constraint(
        settings=("lag_target_seconds", "lag_max_seconds"),
        left_formula="{0} + 1",
        right_formula="{1}",
        left=lambda target, _: target + 1,
        right=lambda _, most: most,
        reason="between the lag's target and its maximum the CPU that may be used rises",
    ),
    Constraint(
        settings=("write_max_concurrency", "batch_max_rows", "prefetch_messages"),
        left_formula="({0} + 2) × {1}",
        right_formula="{2}",
        left=lambda writes, rows, _: (writes + 2) * rows,
        right=lambda _writes, _rows, messages: messages,
        reason="the batches being written, the one that waits and the one that grows must fit the prefetch",
    ),
    Constraint(
        settings=("receive_max_polls", "prefetch_messages"),
        left_formula="{0} × 10",
        right_formula="{1}",
        left=lambda polls, _: polls * 10,
        right=lambda _, messages: messages,
        reason="each open poll may bring ten messages, and needs room for them",
    ),
    Constraint(
        settings=("queue_urls", "prefetch_messages"),
        left_formula="{0} in number × 10",
        right_formula="{1}",
        left=lambda queues, _: queues * 10,
        right=lambda _, messages: messages,
        reason="each queue keeps room for one poll",
    ),
    Constraint(
        settings=("queue_urls", "prefetch_bytes"),
        left_formula="{0} in number × 655360",
        right_formula="{1}",
        left=lambda queues, _: queues * 655_360,
        right=lambda _, held: held,
        reason="each queue keeps room for one poll, which may bring ten events of 64 KB, the largest S3 sends",
    ),
    Constraint(
        settings=("write_timeout_seconds", "receive_visibility_seconds"),
        left_formula="3 × {0}",
        right_formula="{1} ÷ 2",
        left=lambda timeout, _: 3 * timeout,
        right=lambda _, visibility: visibility / 2,
        reason="three tries of a write must end while the messages are still hidden from other consumers",
    ),
    Constraint(
        settings=("receive_wait_seconds", "hold_max_seconds"),
        left_formula="{0} + 1",
        right_formula="{1}",
        left=lambda wait, _: wait + 1,
        right=lambda _, hold: hold,
        reason="what is handed back in an outage must not go to a poll that was opened before it",
    ),
    Constraint(
        settings=("receive_wait_seconds", "write_timeout_seconds", "stop_timeout_seconds"),
        left_formula="max({0} + 5, 2 × {1}) + 20",
        right_formula="{2}",
        left=lambda wait, timeout, _: max(wait + 5, 2 * timeout) + 20,
        right=lambda _wait, _timeout, stop: stop,
        reason="a stop must outlast the open polls and the writes in hand, then still hand back the rest",
    ),
)


def auth_mistakes(values: Mapping[str, Any], url: DatabaseUrl) -> Iterator[str]:
    """A sentence for each pair of settings that contradict each other; those that could not be read have their own."""
    method, secret = values.get("database_auth"), values.get("database_secret_arn")
    if method is None:
        return
    if method == "secret" and secret is None and "database_secret_arn" in values:
        yield f"{PREFIX}DATABASE_AUTH is secret: it needs {PREFIX}DATABASE_SECRET_ARN"
    if method != "secret" and secret is not None:
        yield (
            f"{PREFIX}DATABASE_SECRET_ARN is read only with {PREFIX}DATABASE_AUTH=secret, which is {method}: set one "
            "or leave out the other"
        )
    if method != "password" and url.secrets:
        yield (
            f"{PREFIX}DATABASE_URL holds a password, but {PREFIX}DATABASE_AUTH is {method}: leave it out of the URL, "
            "it would not be used"
        )
    if method == "iam":
        yield from _iam_mistakes(values, url)


def _iam_mistakes(values: Mapping[str, Any], url: DatabaseUrl) -> Iterator[str]:
    """A token is signed for one user at one host, and RDS takes it only under TLS.

    Source: Aurora User Guide, "IAM database authentication".
    """
    if not url.user:
        yield f"{PREFIX}DATABASE_URL names no user, and {PREFIX}DATABASE_AUTH=iam signs a token for one: add user@"
    if len(url.hosts) > 1 or url.hosts[0].startswith("/"):
        yield (
            f"{PREFIX}DATABASE_AUTH=iam signs a token for one host: name only the cluster's writer endpoint in "
            f"{PREFIX}DATABASE_URL"
        )
    if values.get("database_tls") == "disable":
        yield f"{PREFIX}DATABASE_AUTH=iam needs TLS, RDS takes no token without: set {PREFIX}DATABASE_TLS=verify-full"
