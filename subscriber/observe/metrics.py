"""The catalog: every metric of the daemon, with its unit, its labels and what a rise means.

Rooms are handed this object and touch nothing else of Prometheus. Label values come from short closed lists or
from the settings, never from a message, so the number of series stays bounded.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LAG_BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
WRITE_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROW_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


def queue_name(url: str) -> str:
    """The label a queue goes by: the last part of its URL."""
    return url.rstrip("/").rsplit("/", 1)[-1]


class Metrics:
    """All metrics, in the order a message meets them.

    Args:
        registry: where they are registered; a new one by default, so that tests do not share any.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._of_queues()
        self._of_settling()
        self._of_meaning()
        self._of_the_database()
        self._of_the_line()
        self._of_lateness()
        self._of_control()

    def _of_queues(self) -> None:
        self.received_messages = self._counter(
            "received_messages", "Messages received; more than acknowledged for long: the line falls behind.", "queue"
        )
        self.receive_requests = self._counter(
            "receive_requests", "ReceiveMessage calls by answer (full, part, empty, failed).", "queue", "answer"
        )
        self.receive_age_seconds = Histogram(
            "subscriber_receive_age_seconds",
            "Age of the oldest first receive in an answer. A rise means the fleet is too slow, or was away.",
            buckets=LAG_BUCKETS_SECONDS,
            registry=self.registry,
        )

    def _of_settling(self) -> None:
        self.acknowledged_messages = self._counter(
            "acknowledged_messages", "Messages the queue says it has deleted.", "queue"
        )
        self.released_messages = self._counter(
            "released_messages", "Messages made visible again at once: a stop, or held too long unwritten.", "queue"
        )
        self.visibility_extended_messages = self._counter(
            "visibility_extended_messages",
            "Leases prolonged, by message: messages wait inside for long.",
            "queue",
        )
        self.lease_expired_messages = self._counter(
            "lease_expired_messages",
            "Messages whose lease ended unwritten (expired, refused): they come again.",
            "queue",
            "reason",
        )
        self.retry_delayed_messages = self._counter(
            "retry_delayed_messages",
            "Messages hidden for a growing time because they could not be stored yet.",
            "queue",
        )
        self.unsettled_messages = self._counter(
            "unsettled_messages", "Messages whose delete or hiding failed for good; they will come again.", "queue"
        )
        self.settle_requests = self._counter(
            "settle_requests", "Calls that delete, hide, renew or hand back up to ten messages.", "queue", "operation"
        )
        self.queue_errors = self._counter(
            "queue_errors", "Failed calls and failed entries, by operation and error code.", "operation", "code"
        )

    def _of_meaning(self) -> None:
        self.quarantined_messages = self._counter(
            "quarantined_messages", "Messages put into quarantine, by reason. Look at them.", "reason"
        )
        self.ignored_events = self._counter(
            "ignored_events", "Events that say nothing about existence, by name.", "event_name"
        )
        self.derived_sequencers = self._counter(
            "derived_sequencers", "Events ordered by their own second for want of a sequencer of AWS's form."
        )

    def _of_the_database(self) -> None:
        self.rows_applied = self._counter("rows_applied", "Rows inserted or updated.")
        self.rows_stale = self._counter("rows_stale", "Rows that were older than what the table had, or equal to it.")
        self.batches = self._counter("batches", "Batches closed, by trigger (full, due, drain).", "trigger")
        self.batch_rows = self._histogram("batch_rows", "Rows in a batch, after folding.", ROW_BUCKETS)
        self.batch_rows_limit = self._gauge(
            "batch_rows_limit", "Rows a batch may have: fewer where so many would keep the database busy for long."
        )
        self.write_seconds = self._histogram(
            "write_seconds", "Time of one statement, commit included.", WRITE_BUCKETS_SECONDS
        )
        self.write_failures = self._counter(
            "write_failures", "Failed statements, by treatment and word.", "treatment", "word"
        )
        self.database_available = self._gauge("database_available", "1 while the database answers, else 0.")

    def _of_the_line(self) -> None:
        self.in_process_messages = self._gauge(
            "in_process_messages", "Messages inside the process, room kept for open polls included."
        )
        self.in_process_bytes = self._gauge("in_process_bytes", "Their bodies, room kept for open polls included.")
        self.polls = self._gauge("polls", "Receive loops now.", "queue")
        self.concurrency_limit = self._gauge("concurrency_limit", "Concurrent writes allowed on average.")
        self.concurrency = self._gauge("concurrency", "Writes at work now.")

    def _of_lateness(self) -> None:
        self.newest_receive_age_seconds = self._gauge(
            "newest_receive_age_seconds",
            "Age of the newest first receive of the last second, of several queues the worst; 0: none came.",
        )
        self.queue_visible_messages = self._gauge(
            "queue_visible_messages", "Messages waiting, as the queue last said; NaN: it does not.", "queue"
        )
        self.queue_in_flight_messages = self._gauge(
            "queue_in_flight_messages", "Messages received by anybody and not deleted; near 120,000 SQS stops.", "queue"
        )
        self.alarm = self._gauge(
            "alarm", "1 while a queue gives nothing although it holds something, by reason.", "queue", "reason"
        )
        self.lag_seconds = self._gauge(
            "lag_seconds", "How late the line is: the worst age of what has just come or is still inside."
        )

    def _of_control(self) -> None:
        self.concurrency_used = self._gauge("concurrency_used", "Writes at work on average over the last second.")
        self.database_cpu_percent = self._gauge(
            "database_cpu_percent", "The database's CPU as the sensor last said; NaN: it has not."
        )
        self.database_load_age_seconds = self._gauge(
            "database_load_age_seconds", "Since the end of that reading's window; growing: the sensor is lost."
        )
        self.database_cpu_predicted_percent = self._gauge(
            "database_cpu_predicted_percent", "The CPU of now, expected from that reading and the work since."
        )
        self.database_cpu_ceiling_percent = self._gauge(
            "database_cpu_ceiling_percent", "The CPU that may be used; it rises with the lag, up to the maximum."
        )
        self.sensor_reads = self._counter(
            "sensor_reads", "Reads of the sensor by outcome (news, nothing_new, refused, failed, timed_out).", "outcome"
        )
        self.decisions = self._counter("decisions", "Decisions of the governor, by reason.", "reason")
        self.control_mode = self._gauge("control_mode", "1 for the mode in force (auto, fixed, paused).", "mode")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"subscriber_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"subscriber_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"subscriber_{name}", meaning, buckets=buckets, registry=self.registry)
