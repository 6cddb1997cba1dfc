"""The states of events and deliveries, and which of them end a row's life."""

from __future__ import annotations

from enum import StrEnum


class EventState(StrEnum):
    """received -> planned | skipped | parked; a parked event returns to received by replay."""

    RECEIVED = "received"  # durable, not yet planned
    PLANNED = "planned"  # its deliveries exist
    SKIPPED = "skipped"  # nothing to do, and ``reason`` says why (echo, stale, no_route, ...)
    PARKED = "parked"  # waits for a person's fix, then replays


class DeliveryState(StrEnum):
    """pending -> in_flight -> delivered | retrying | parked | dead | skipped | superseded."""

    PENDING = "pending"  # owed, never tried
    IN_FLIGHT = "in_flight"  # claimed: a call may be under way
    RETRYING = "retrying"  # failed, due again at ``next_at``
    DELIVERED = "delivered"  # the target has it
    PARKED = "parked"  # waits for a person's fix, then replays
    DEAD = "dead"  # given up; visible and replayable
    SKIPPED = "skipped"  # the plan changed: nothing to send after all
    SUPERSEDED = "superseded"  # a newer state of the same record went instead


class ConnectionState(StrEnum):
    ENABLED = "enabled"
    PAUSED = "paused"  # by a person
    NEEDS_AUTH = "needs_auth"  # credentials refused: waits for a person, burns no try
    DISABLED = "disabled"  # not in use; its hooks answer 404


OPEN_DELIVERY = (DeliveryState.PENDING, DeliveryState.IN_FLIGHT, DeliveryState.RETRYING)
"""States the queue itself will move on."""

WAITING_DELIVERY = (*OPEN_DELIVERY, DeliveryState.PARKED)
"""Not ended yet: the ledger counts these as in flight."""

TERMINAL_DELIVERY = (
    DeliveryState.DELIVERED,
    DeliveryState.DEAD,
    DeliveryState.SKIPPED,
    DeliveryState.SUPERSEDED,
)
