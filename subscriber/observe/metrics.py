"""The catalog of metrics: every metric of the daemon, with its unit, its labels and what a rise means.

Each stage receives this object and uses nothing else of Prometheus. Label values come from short closed lists or from
the settings, never from a message, so the number of series is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from subscriber.queue_url import queue_name, queue_names

LAG_BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
WRITE_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROW_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class Metrics:
    """All metrics, in the order in which a message meets them.

    Args:
        registry: Where they are registered; a new one by default, so that tests share none.
        queues: URLs of all queues: their names, as labels and in the log, differ.
    """

    def __init__(self, registry: CollectorRegistry | None = None, queues: Sequence[str] = ()) -> None:
        self.registry = registry or CollectorRegistry()
        self._queue_names = queue_names(queues)
        self._add_receive()
        self._add_acknowledge()
        self._add_decode()
        self._add_database()
        self._add_capacity()
        self._add_lag()
        self._add_control()
        self._add_reconcile()
        self._add_usage()
        self._add_history()
        self._add_enrichment()

    def queue_name(self, url: str) -> str:
        """The name of a queue, in labels and in the log."""
        return self._queue_names.get(url) or queue_name(url)

    def _add_receive(self) -> None:
        self.received_messages = self._counter(
            "received_messages", "Messages received; above the acknowledged ones for long: the backlog grows.", "queue"
        )
        self.receive_requests = self._counter(
            "receive_requests", "ReceiveMessage calls by answer (full, part, empty, failed).", "queue", "answer"
        )
        self.receive_age_seconds = self._histogram(
            "receive_age_seconds",
            "Age of the oldest first receive in an answer; rising: the fleet is too slow, or was stopped.",
            LAG_BUCKETS_SECONDS,
        )

    def _add_acknowledge(self) -> None:
        self.acknowledged_messages = self._counter(
            "acknowledged_messages", "Messages that SQS confirmed as deleted.", "queue"
        )
        self.released_messages = self._counter(
            "released_messages", "Messages made visible again at once: at a shutdown, or held too long.", "queue"
        )
        self.visibility_extended_messages = self._counter(
            "visibility_extended_messages",
            "Visibility extensions, counted by message; rising: messages are held for long.",
            "queue",
        )
        self.lease_expired_messages = self._counter(
            "lease_expired_messages",
            "Messages whose visibility ended before they were stored, by reason: SQS redelivers them.",
            "queue",
            "reason",
        )
        self.retry_delayed_messages = self._counter(
            "retry_delayed_messages",
            "Messages that could not be stored yet, made invisible for a delay that grows with each receive.",
            "queue",
        )
        self.unsettled_messages = self._counter(
            "unsettled_messages",
            "Messages whose delete or visibility change failed for good: SQS redelivers them.",
            "queue",
        )
        self.settle_requests = self._counter(
            "settle_requests", "Calls that delete up to ten messages or change their visibility.", "queue", "operation"
        )
        self.queue_errors = self._counter(
            "queue_errors", "Failed SQS calls and failed entries, by operation and error code.", "operation", "code"
        )

    def _add_decode(self) -> None:
        self.quarantined_messages = self._counter(
            "quarantined_messages", "Messages stored in the quarantine, by reason: inspect them.", "reason"
        )
        self.quarantine_waiting_messages = self._gauge(
            "quarantine_waiting_messages",
            "Messages in the quarantine that nobody has replayed, by reason, counted up to 10,000 once a minute; "
            "absent while the table cannot be read.",
            "reason",
        )
        self.ignored_events = self._counter(
            "ignored_events", "Events that say nothing about an object's existence, by name.", "event_name"
        )
        self.derived_sequencers = self._counter(
            "derived_sequencers", "Events ordered by their own time, for lack of a sequencer of AWS's form."
        )

    def _add_database(self) -> None:
        self.rows_applied = self._counter("rows_applied", "Rows inserted or updated.")
        self.rows_stale = self._counter("rows_stale", "Rows older than the stored row, or equal to it.")
        self.batches = self._counter("batches", "Batches closed, by trigger (full, due, drain).", "trigger")
        self.batch_rows = self._histogram("batch_rows", "Rows in a batch, after folding.", ROW_BUCKETS)
        self.batch_rows_limit = self._gauge(
            "batch_rows_limit", "Maximum rows in a batch; below the setting: rows are expensive for the database."
        )
        self.write_seconds = self._histogram(
            "write_seconds", "Duration of one statement, commit included.", WRITE_BUCKETS_SECONDS
        )
        self.write_failures = self._counter(
            "write_failures", "Failed statements, by treatment and word.", "treatment", "word"
        )
        self.database_available = self._gauge("database_available", "1 while the database answers, else 0.")

    def _add_capacity(self) -> None:
        self.in_process_messages = self._gauge("in_process_messages", "Messages in the process: received, not settled.")
        self.in_process_bytes = self._gauge("in_process_bytes", "Bytes of the bodies of these messages.")
        self.reserved_messages = self._gauge(
            "reserved_messages", "Capacity reserved for what open polls may return; with the held ones below the limit."
        )
        self.reserved_bytes = self._gauge("reserved_bytes", "The same in bytes of bodies.")
        self.polls = self._gauge("polls", "Concurrent receive loops.", "queue")
        self.concurrency_limit = self._gauge("concurrency_limit", "Concurrent writes allowed on average.")
        self.concurrency = self._gauge("concurrency", "Writes in flight.")

    def _add_lag(self) -> None:
        self.newest_receive_age_seconds = self._gauge(
            "newest_receive_age_seconds",
            "Age of the newest message of the last second that shows lag, the worst of all queues; 0: none came.",
        )
        self.queue_visible_messages = self._gauge(
            "queue_visible_messages", "Messages waiting, as SQS last reported; NaN: unknown.", "queue"
        )
        self.queue_in_flight_messages = self._gauge(
            "queue_in_flight_messages",
            "Messages received by any consumer and not deleted; near 120,000 SQS delivers no more.",
            "queue",
        )
        self.alarm = self._gauge(
            "alarm", "1 while a queue delivers nothing although it holds messages, by reason.", "queue", "reason"
        )
        self.lag_seconds = self._gauge(
            "lag_seconds",
            "How late rows are: the worst age of messages just received, held, or waiting while nothing is received.",
        )

        self.youngest_event_age_seconds = self._gauge(
            "youngest_event_age_seconds",
            "Time since the youngest event of a bucket happened that any worker stored, read once a minute; NaN: none "
            "was noted; absent while it cannot be read; `all`: of every bucket, where SUBSCRIBER_BUCKETS names none.",
            "bucket",
        )

    def _add_control(self) -> None:
        self.concurrency_used = self._gauge("concurrency_used", "Writes in flight, on average over the last second.")
        self.database_cpu_percent = self._gauge(
            "database_cpu_percent", "CPU of the database as last measured; NaN: never."
        )
        self.database_load_age_seconds = self._gauge(
            "database_load_age_seconds",
            "Time since the end of that measurement's window; growing: the sensor is stale.",
        )
        self.database_cpu_predicted_percent = self._gauge(
            "database_cpu_predicted_percent", "CPU expected now, from that measurement and the rows written since."
        )
        self.database_cpu_ceiling_percent = self._gauge(
            "database_cpu_ceiling_percent", "CPU that may be used; it rises with the lag, up to the maximum."
        )
        self.sensor_reads = self._counter("sensor_reads", "Reads of the load sensor, by outcome.", "outcome")
        self.decisions = self._counter("decisions", "Decisions of the governor, by reason.", "reason")
        self.control_mode = self._gauge("control_mode", "1 for the mode in force (auto, fixed, paused).", "mode")

    def _add_reconcile(self) -> None:
        self.drift_objects = self._gauge(
            "drift_objects",
            "Versions that differed between bucket and index in the last complete reconciliation, repaired or not, by "
            "kind (missing, ghost, stale); `all` stands for every bucket where SUBSCRIBER_BUCKETS names none.",
            "bucket",
            "kind",
        )
        self.reconcile_age_seconds = self._gauge(
            "reconcile_age_seconds",
            "Time since a bucket was last compared with the index from end to end; NaN: never.",
            "bucket",
        )
        self.reconcile_requests = self._counter("reconcile_requests", "Requests to S3 by scheduled reconciliation.")
        self.reconcile_versions = self._counter("reconcile_versions", "Versions that S3 listed to them.")
        self.reconcile_rows = self._counter("reconcile_rows", "Rows that scheduled reconciliation repaired.")
        self.reconcile_failures = self._counter(
            "reconcile_failures", "Scheduled reconciliations that could not be done; the log has the reason."
        )

    def _add_usage(self) -> None:
        self.usage_folded_rows = self._counter(
            "usage_folded_rows",
            "Rows that this worker folded into the counters of usage, by kind (delta, key); 0 in the whole fleet while "
            "rows are stored: the feature is off, or folding fails.",
            "kind",
        )

    def _add_history(self) -> None:
        self.history_days_ahead = self._gauge(
            "history_days_ahead",
            "Days after today that have a partition of the feature, as this worker saw them last; 3 is right, below "
            "1 changes of tomorrow go to the default partition; absent: the feature is off, or other workers tend it.",
            "feature",
        )

    def _add_enrichment(self) -> None:
        self.enriched_versions = self._counter(
            "enriched_versions",
            "Versions that S3 was asked about, by outcome (stored, gone, failed, given_up); failed rising and "
            "stored not: the log has the reason.",
            "outcome",
        )
        self.enrich_requests = self._counter("enrich_requests", "Requests to S3 by this worker for metadata.")
        self.enrich_month_requests = self._gauge(
            "enrich_month_requests", "Requests to S3 for metadata by the fleet in this month: the bill."
        )

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"subscriber_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"subscriber_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"subscriber_{name}", meaning, buckets=buckets, registry=self.registry)
