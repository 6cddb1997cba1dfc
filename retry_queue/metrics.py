"""Metrics of the queue. Labels hold configured names only; ids and addresses never."""

from __future__ import annotations

import time

from prometheus_client import Counter, Gauge, Histogram

from retry_queue.ledger import lane

_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 3600, 86400)

ACKS = Histogram(
    "shuniu_webhook_ack_duration_seconds", "From request to reply of a hook.", ["connector"], buckets=_FAST
)
HOOKS = Counter("shuniu_webhook_calls_total", "Hook calls by how they ended.", ["connector", "outcome"])
ATTEMPTS = Counter(
    "shuniu_delivery_attempts_total", "Delivery attempts by target connection, operation and outcome.",
    ["connection", "operation", "outcome"],
)  # fmt: skip
CALLS = Histogram(
    "shuniu_delivery_duration_seconds", "Duration of delivery attempts.", ["connection", "operation"], buckets=_FAST
)
END_TO_END = Histogram(
    "shuniu_end_to_end_latency_seconds", "From accepting an event to its delivery.", ["route"], buckets=_LONG
)
LATE = Counter("shuniu_fenced_results_total", "Results that came after the lease was lost and were not written.")
POLLS = Counter("shuniu_polls_total", "Polls by connection, source and outcome.", ["connection", "source", "outcome"])
RECONCILIATIONS = Counter(
    "shuniu_reconciliations_total", "Comparisons of two connections by how they ended.",
    ["left", "right", "entity", "outcome"],
)  # fmt: skip
BREAKERS = Counter(
    "shuniu_breaker_transitions_total", "Changes of breakers by the state they came to.", ["connection", "state"]
)
BACKFILLED = Counter(
    "shuniu_backfill_records_total", "Records read again from a source's history.", ["connection", "source", "cause"]
)
ALERT_MESSAGES = Counter(
    "shuniu_alert_messages_total", "Messages of alerts by channel and how they ended.", ["connection", "outcome"]
)
FORGOTTEN = Counter("shuniu_retention_rows_total", "Rows emptied or removed because their time was over.", ["data"])
PROGRESS = Gauge(
    "shuniu_worker_progress_timestamp_seconds", "When a worker last went round its loops.", multiprocess_mode="livemax"
)


def attempt(result: lane.Result, *, ours: bool) -> None:
    """Counts a settled attempt."""
    delivery = result.delivery
    if not ours:
        LATE.inc()
        return
    ATTEMPTS.labels(delivery.connection_key, delivery.operation, result.outcome).inc()
    if result.tried:
        CALLS.labels(delivery.connection_key, delivery.operation).observe(result.duration)
    if result.outcome == "delivered":
        END_TO_END.labels(delivery.route_key).observe(max(time.time() - delivery.received_at, 0.0))
