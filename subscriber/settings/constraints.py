"""Constraints between settings: checked at start, printed as reference.

Each numeric constraint is a guarantee that no single range can give: a batch never waits for memory that its own
messages hold, a visibility lease outlives the attempts to write its messages, a shutdown fits its budget.

`auth_mistakes` checks that DATABASE_AUTH, the URL, the secret and TLS fit together; `schedule_mistakes` that the fleet
can agree on one worker. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from subscriber.model import MESSAGES_PER_POLL, POLL_BYTES
from subscriber.settings.database_url import DatabaseUrl
from subscriber.settings.parsers import PREFIX


class Constraint(msgspec.Struct, frozen=True):
    """What is computed from `settings` must not exceed the setting `bound`."""

    settings: tuple[str, ...]
    """Names of the settings that fill the holes of `formula_left`, in order."""
    bound: str
    formula_left: str
    left: Callable[..., float]
    reason: str
    divisor: int = 1
    """The bound is divided by this number."""

    @property
    def formula(self) -> str:
        """The constraint with the names of its variables."""
        bound = PREFIX + self.bound.upper()
        left = self.formula_left.format(*(PREFIX + name.upper() for name in self.settings))
        return f"{left} ≤ {bound}{f' ÷ {self.divisor}' if self.divisor > 1 else ''}"

    def broken_by(self, numbers: Mapping[str, float], largest: Mapping[str, float]) -> str | None:
        """The sentence for the operator if the constraint does not hold, else None.

        It is None too if a number is missing: that setting has an error of its own already.

        Args:
            numbers: Values of the settings by name.
            largest: The largest value that each setting accepts.
        """
        if not all(name in numbers for name in (*self.settings, self.bound)):
            return None
        values = [numbers[name] for name in self.settings]
        bound = numbers[self.bound]
        left, right = self.left(*values), bound / self.divisor
        if left <= right:
            return None
        filled = self.formula_left.format(*(f"{value:.10g}" for value in values))
        shown = f"{filled} = {left:.10g} is more than {right:.10g}"
        needed = left * self.divisor
        needed = math.ceil(needed) if isinstance(bound, int) else needed
        remedy = self._remedy(needed, largest.get(self.bound, needed))
        return f"{self.formula} does not hold: {shown}; {remedy}: {self.reason}"

    def _remedy(self, needed: float, most: float) -> str:
        """Which settings to change, and to what; raising the bound is no remedy beyond what it accepts."""
        lower = " or ".join(_lower(name) for name in self.settings)
        return f"raise {PREFIX}{self.bound.upper()} to {needed:.10g}, or {lower}" if needed <= most else lower


def _lower(name: str) -> str:
    variable = PREFIX + name.upper()
    return f"list fewer queues in {variable}" if name == "queue_urls" else f"lower {variable}"


CONSTRAINTS = (
    Constraint(
        settings=("write_min_concurrency",),
        bound="write_max_concurrency",
        formula_left="{0}",
        left=lambda least: least,
        reason="the minimum concurrency cannot exceed the maximum",
    ),
    Constraint(
        settings=("database_cpu_target_percent",),
        bound="database_cpu_max_percent",
        formula_left="{0}",
        left=lambda target: target,
        reason="the CPU ceiling rises from the target to the maximum",
    ),
    Constraint(
        settings=("lag_target_seconds",),
        bound="lag_max_seconds",
        formula_left="{0} + 1",
        left=lambda target: target + 1,
        reason="the CPU ceiling rises while the lag is between its target and its maximum",
    ),
    Constraint(
        settings=("write_max_concurrency", "batch_max_rows"),
        bound="prefetch_messages",
        formula_left="({0} + 2) × {1}",
        left=lambda writes, rows: (writes + 2) * rows,
        reason="the batches being written, the one that waits and the one that accumulates must fit the prefetch",
    ),
    Constraint(
        settings=("receive_max_polls",),
        bound="prefetch_messages",
        formula_left=f"{{0}} × {MESSAGES_PER_POLL}",
        left=lambda polls: polls * MESSAGES_PER_POLL,
        reason="each open poll reserves ten messages, since it may return that many",
    ),
    Constraint(
        settings=("queue_urls",),
        bound="prefetch_messages",
        formula_left=f"{{0}} (queues) × {MESSAGES_PER_POLL}",
        left=lambda queues: queues * MESSAGES_PER_POLL,
        reason="each queue reserves one poll of ten messages",
    ),
    Constraint(
        settings=("queue_urls",),
        bound="prefetch_bytes",
        formula_left=f"{{0}} (queues) × {POLL_BYTES}",
        left=lambda queues: queues * POLL_BYTES,
        reason="each queue reserves one poll, which may return ten events of 64 KB, the largest S3 sends",
    ),
    Constraint(
        settings=("write_timeout_seconds",),
        bound="receive_visibility_seconds",
        formula_left="3 × {0}",
        left=lambda timeout: 3 * timeout,
        divisor=2,
        reason="three attempts of a write must end while the messages are still invisible to other consumers",
    ),
    Constraint(
        settings=("receive_wait_seconds",),
        bound="hold_max_seconds",
        formula_left="{0} + 1",
        left=lambda wait: wait + 1,
        reason="messages released while the database is unavailable must not go to a poll opened before it failed",
    ),
    Constraint(
        settings=("receive_wait_seconds", "write_timeout_seconds"),
        bound="stop_timeout_seconds",
        formula_left="max({0} + 5, 2 × {1}) + 20",
        left=lambda wait, timeout: max(wait + 5, 2 * timeout) + 20,
        reason="a shutdown must outlast open polls and writes in flight, then have time to release the rest",
    ),
)


def auth_mistakes(values: Mapping[str, Any], url: DatabaseUrl) -> Iterator[str]:
    """One sentence for each pair of settings that contradict each other; an unreadable setting is no contradiction."""
    method, secret = values.get("database_auth"), values.get("database_secret_arn")
    if method is None:
        return
    if method == "secret" and secret is None and "database_secret_arn" in values:
        yield f"{PREFIX}DATABASE_AUTH is secret: it needs {PREFIX}DATABASE_SECRET_ARN"
    if method != "secret" and secret is not None:
        yield (
            f"{PREFIX}DATABASE_SECRET_ARN is used only with {PREFIX}DATABASE_AUTH=secret, which is {method}: set one "
            "or unset the other"
        )
    if method != "password" and url.secrets:
        yield (
            f"{PREFIX}DATABASE_URL holds a password, but {PREFIX}DATABASE_AUTH is {method}: remove it from the URL, "
            "it would not be used"
        )
    if method == "iam":
        yield from _iam_mistakes(values, url)


def schedule_mistakes(values: Mapping[str, Any]) -> Iterator[str]:
    """One sentence where workers that reconcile on a schedule could not hold a lock.

    Source: PgBouncer, "Feature matrix for pooling modes": no session-level advisory locks in transaction mode.
    """
    if values.get("reconcile_every_hours") is not None and values.get("database_pooler") == "transaction":
        yield (
            f"{PREFIX}RECONCILE_EVERY_HOURS needs a direct connection, because a pooler in transaction mode keeps no "
            f"locks: set {PREFIX}DATABASE_POOLER=none and name the server, or run `subscriber reconcile` by a timer"
        )


def _iam_mistakes(values: Mapping[str, Any], url: DatabaseUrl) -> Iterator[str]:
    """IAM signs a token for one user at one host, and RDS accepts it only over TLS.

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
        yield f"{PREFIX}DATABASE_AUTH=iam needs TLS, which RDS requires: set {PREFIX}DATABASE_TLS=verify-full"
