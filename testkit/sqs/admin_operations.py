"""Operations that the real service does not have: generated backlogs, fault injection and the audit log."""

from __future__ import annotations

from testkit.signature import SignatureChecker
from testkit.sqs import errors, shapes
from testkit.sqs.account import Account
from testkit.sqs.audit_log import AuditLog
from testkit.sqs.backlog import load_backlog
from testkit.sqs.faults import Faults


class AdminOperations:
    """The operations that the real service does not have."""

    def __init__(self, account: Account, checker: SignatureChecker, faults: Faults, audit_log: AuditLog) -> None:
        self._account = account
        self._checker = checker
        self._faults = faults
        self._audit_log = audit_log

    def attach_backlog(self, request: shapes.AttachBacklogRequest, _now: float) -> shapes.Nothing:
        """Let the queue generate messages when they are received."""
        queue = self._account.at(request.queue_url)
        try:
            queue.backlog = load_backlog(request.function, request.arguments)
        except (ValueError, ImportError, AttributeError, TypeError) as error:
            raise errors.INVALID_PARAMETER.because(f"No backlog from {request.function}: {error}") from error
        return shapes.Nothing()

    def set_faults(self, plan: shapes.FaultPlan, _now: float) -> shapes.Nothing:
        """Replace the active fault plan."""
        self._faults.set(plan)
        self._checker.accept(plan.accepted_keys)
        for queue in self._account:
            self._faults.limit_in_flight(queue, self._account.in_flight_limit)
        return shapes.Nothing()

    def expire_visibility(self, request: shapes.QueueRequest, _now: float) -> shapes.Nothing:
        """End every visibility timeout of a queue now."""
        self._account.at(request.queue_url).expire()
        return shapes.Nothing()

    def take_audit_log(self, request: shapes.QueueRequest, now: float) -> shapes.AuditLogAnswer:
        """Return and drop the audit log of a queue, with the ids of the messages that are still in it."""
        queue = self._account.at(request.queue_url)
        queued = [message.message_id for message in queue.messages()]
        remaining = queue.backlog.available(now) if queue.backlog else 0
        return shapes.AuditLogAnswer(self._audit_log.take(queue.name), queued, remaining)
