"""The catalog of log events: what each event means. docs/reference/log-events.md is generated from it and the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MEANINGS: Final[Mapping[str, str]] = {
    "backlog.unknown": "SQS does not report the counts of a queue; logged for the 1st, 2nd, 4th, 8th … failure.",
    "batch.given_up": "A batch could not be stored before its messages had to be released; SQS redelivers them.",
    "batch.released": "A shutdown releases the messages of a batch that are not yet stored.",
    "buckets.not_noted": (
        "What was stored of each bucket could not be noted in the table of buckets; it is kept and tried again; logged "
        "for the 1st, 2nd, 4th, 8th … failure."
    ),
    "buckets.not_read": (
        "The ages of the youngest events could not be read; the metric is absent meanwhile; logged for the 1st, 2nd, "
        "4th, 8th … failure."
    ),
    "control.applied": "An operator's command changed the mode or the limit.",
    "control.rejected": "A command to /control was rejected; logged for the 1st, 2nd, 4th, 8th … rejection.",
    "daemon.broken": "A background task of the daemon failed: a bug; the daemon shuts down with exit code 1.",
    "credentials.waiting": "The source of AWS's credentials does not answer at start; the daemon tries again.",
    "daemon.ended": "The daemon ends with this exit code; `detail` is the error that ended it, if one did.",
    "daemon.failed": "An unexpected exception ends the process with exit code 1.",
    "daemon.started": "The daemon starts; the fields are its settings, with secrets redacted.",
    "daemon.stopping": "A shutdown begins; the pipeline drains.",
    "database.available": "Writes work again after `unavailable_seconds`.",
    "database.still_unavailable": "The probe of the database failed; logged for the 1st, 2nd, 4th, 8th … failure.",
    "database.suspicious": "Something in the database may cause trouble; the finding says why and what to do.",
    "database.unavailable": "The circuit breaker opened: writes fail for a reason that no row causes; polling stops.",
    "database.waiting": "The database does not answer at start; the daemon tries again.",
    "event.unknown": (
        "No rule says whether this event, detail-type or sender is about the existence of an object: its messages are "
        "kept in the quarantine; logged once per name, for the first 50 names."
    ),
    "enrichment.bill_reached": "The bill of this month for metadata is reached; the queue waits for the next month.",
    "enrichment.denied": "S3 denies metadata: the credentials lack a right; logged for the 1st, 2nd, 4th … in a row.",
    "enrichment.failed": "The queue of enrichment could not be used; logged for the 1st, 2nd, 4th, 8th … failure.",
    "http.listening": "The HTTP server listens.",
    "instance.found": "The RDS instance whose load is read, found or changed, for example by a failover.",
    "instance.lookup_failed": "RDS does not describe the instance; the daemon keeps using what it knows.",
    "instance.partially_known": "A property of the RDS instance cannot be read, so the load may be unknown.",
    "inventory.rows_skipped": "Rows of an inventory have keys or sizes that PostgreSQL cannot hold; they are left out.",
    "job.ended": "All ranges of a job are done, or more of them failed than it tolerates.",
    "leases.expired": "The visibility of messages ended before they were stored; SQS redelivers them.",
    "leases.released": "Messages that could not be written within SUBSCRIBER_HOLD_MAX_SECONDS were released.",
    "library.reported": "A library logged this message; logged for the 1st, 2nd, 4th, 8th … time, a traceback once.",
    "limit.changed": "The governor changed the concurrency limit; the fields hold its evidence.",
    "limit.kept": "The governor kept the concurrency limit; the fields hold its evidence.",
    "lines.dropped": "So many lines of the log were dropped, because nobody read it; the daemon went on meanwhile.",
    "listing.retrying": "A request for a page or an object failed; logged for the 1st, 2nd, 4th, 8th … failure.",
    "load.not_closed": "Closing a load sensor failed; the daemon goes on.",
    "load.partially_visible": "The load source active_sessions does not see the sessions of other users.",
    "load.source": "The source of the database's load; `skipped` lists the sources that did not work, with reasons.",
    "message.poisoned": "A message failed alone while the database takes other rows; it is quarantined or delayed.",
    "messages.not_released": "Some messages could not be released; SQS redelivers them when their visibility ends.",
    "messages.released": "The shutdown released the messages that were still held.",
    "messages.unsettled": "Messages could not be deleted, or their visibility not be changed; SQS redelivers them.",
    "pipeline.started": "Queues, database and schema are ready; polling begins.",
    "protection.broken": "The task that sets ECS protection failed: a bug; the daemon goes on without protection.",
    "protection.denied": "ECS did not change the task's protection; logged once per code.",
    "protection.released": "The ECS task is no longer protected from scale-in and deployments.",
    "protection.set": "The ECS task is protected from scale-in and deployments.",
    "quarantine.failed": "Messages could not be stored in the quarantine; they are retried after a delay.",
    "quarantine.not_counted": "What waits in the quarantine could not be counted; the metric is absent meanwhile.",
    "queue.found": "A queue was checked at start.",
    "queue.recovered": "A stalled queue delivers again.",
    "queue.stalled": "A queue delivers nothing although it holds messages.",
    "queue.suspicious": "A setting of a queue may cause trouble; the finding says why and what to do.",
    "queue.waiting": "A queue does not answer at start; the daemon tries again.",
    "range.failed": "A range of a job failed for good; `subscriber jobs redrive` tries it again where it stopped.",
    "range.kept": "A stopping worker could not give a range back; another worker takes it when its lease is over.",
    "range.lost": "The lease of a range ended before its worker could prolong it; another worker goes on with it.",
    "receive.failed": "A poll failed; it is retried with backoff; logged for the 1st, 2nd, 4th, 8th … failure.",
    "receive.recovered": "Polls of a queue succeed again.",
    "reconcile.failed": "A scheduled reconciliation could not be done; logged for the 1st, 2nd, 4th, 8th … failure.",
    "reconcile.finished": "A scheduled reconciliation has compared a bucket with the index; the fields are its counts.",
    "reconcile.looked_once": "Too much differs: what follows in this range is counted without a second look.",
    "reconcile.not_repaired": "A bucket does not send its events to our queues: it is compared, and not repaired.",
    "reconcile.started": "A scheduled reconciliation of a bucket begins, or goes on with the job of another worker.",
    "schema.locked": "Other sessions hold locks that a migration needs; it let go and tries again.",
    "schema.migrated": "Migrations were applied at start, for `run --migrate`.",
    "secret.not_renewed": "The secret could not be read; the known password stays in use.",
    "secret.renewed": "The secret holds a new login, which is now in use.",
    "sensor.failed": "A read of the load sensor failed; logged for the 1st, 2nd, 4th, 8th … failure.",
    "sensor.fresh": "The load sensor delivers current readings again.",
    "sensor.lost": "The load source that `auto` chose brought nothing for five minutes; all sources are tried again.",
    "sensor.recovered": "Reads of the load sensor succeed again.",
    "sensor.stale": "The load sensor delivered no current reading in time; the limit does not rise meanwhile.",
    "usage.not_folded": (
        "Counters of usage could not be folded; answers stay exact and become slower; logged for the 1st, 2nd, 4th, "
        "8th … failure."
    ),
    "history.not_tended": (
        "Partitions of the history could not be made or dropped; changes are kept nevertheless; tried again in a "
        "minute, logged for the 1st, 2nd, 4th, 8th … failure."
    ),
    "history.tended": "Partitions of the history were made for days ahead, or old ones dropped.",
    "worker.named": "ECS named this task; every further line has the field `worker`.",
    "worker.unnamed": "The ECS task metadata could not be read; lines have no field `worker`.",
}
"""One sentence per event."""
