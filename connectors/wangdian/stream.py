"""The work queues of Wangdiantong: take what waits, have it stored, acknowledge it, until nothing is left.

Shipments to be shown in the shop, and stock to be shown in the shop. The vendor pushes nothing; what is not
acknowledged is given again on the next question. An acknowledgement goes out only after ``accept`` returned, which
means that the rows are durable here. One call at a time per account, as the vendor asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog

from connectors.core import channel, client, errors, jsontext, model, scope

BATCH = 50
"""Rows taken at once; the vendor asks for no more than this in one acknowledgement."""
FIRST_DELAY, LONGEST_DELAY = 2.0, 300.0
"""Seconds before asking again after an error, doubled each time."""
DONE = "已接收"

log = structlog.get_logger(__name__)


async def run(connection: model.Connection, accept: channel.Accept, stopped: asyncio.Event) -> None:
    """Empty the queues again and again until ``stopped`` is set."""
    config = scope.settings(connection)
    delay = FIRST_DELAY
    async with client.alone() as calls:
        while not stopped.is_set():
            try:
                for drain in _queues(config):
                    while not stopped.is_set() and await drain(calls, connection, accept):
                        delay = FIRST_DELAY
                wait, delay = float(config["queue_every"]), FIRST_DELAY
            except errors.ConnectorError as error:
                log.warning("queue_call_failed", connection=connection.key, kind=error.kind, code=error.code)
                asked = error.retry_after if isinstance(error, errors.Throttled) else None
                wait, delay = asked or delay, min(LONGEST_DELAY, delay * 2)
            except _NotTaken as error:
                log.warning("queue_not_accepted", connection=connection.key, reason=str(error))
                wait, delay = delay, min(LONGEST_DELAY, delay * 2)
            await channel.pause(stopped, wait)


Drain = Callable[[client.Client, model.Connection, channel.Accept], Awaitable[bool]]


class _NotTaken(Exception):
    """Our side could not store the rows; nothing was acknowledged."""


def _queues(config: dict[str, Any]) -> Iterator[Drain]:
    flagship = config["edition"] == "qjb"
    if config["shipments"] == "queue":
        yield _flagship_shipments if flagship else _form_shipments
    if config["stock"] == "queue":
        yield _flagship_stock if flagship else _form_stock


async def _store(rows: list[Any], accept: channel.Accept) -> None:
    try:
        await accept(jsontext.dumps(rows))
    except Exception as error:  # whatever fails on our side, the rows stay in the vendor's queue
        raise _NotTaken(type(error).__name__) from error


def _more(connection: model.Connection, rows: list[Any], outcome: model.Outcome) -> bool:
    """Whether to ask again at once. Rows whose acknowledgement was refused come again and must not spin us."""
    if outcome.warnings:
        log.warning("queue_ack_partial", connection=connection.key, refused=outcome.warnings)
        return False
    return len(rows) >= BATCH


async def _flagship_shipments(calls: client.Client, connection: model.Connection, accept: channel.Accept) -> bool:
    rows = (await calls.call(connection, "qjb.shipment.queue", {"size": BATCH})).data or []
    if not rows:
        return False
    await _store(rows, accept)
    told = [{"sync_id": row["sync_id"], "status": 0, "error_msg": ""} for row in rows]
    return _more(connection, rows, await calls.call(connection, "qjb.shipment.ack", {"list": told}))


async def _form_shipments(calls: client.Client, connection: model.Connection, accept: channel.Accept) -> bool:
    rows = (await calls.call(connection, "qyb.shipment.queue", {"size": BATCH})).data or []
    waiting = [row for row in rows if str(row.get("sync_status", 0)) == "0"]
    if not waiting:
        return False
    await _store(waiting, accept)
    told = [{"rec_id": row["rec_id"], "status": 0, "message": DONE} for row in waiting]
    return _more(connection, rows, await calls.call(connection, "qyb.shipment.ack", {"list": told}))


async def _form_stock(calls: client.Client, connection: model.Connection, accept: channel.Accept) -> bool:
    rows = (await calls.call(connection, "qyb.stock.queue", {"size": 100})).data or []
    if not rows:
        return False
    await _store(rows, accept)
    kept = ("rec_id", "sync_stock", "stock_change_count")
    refused = False
    for begin in range(0, len(rows), BATCH):
        told = [{name: row[name] for name in kept} for row in rows[begin : begin + BATCH]]
        outcome = await calls.call(connection, "qyb.stock.ack", {"list": told})
        refused = refused or bool(outcome.warnings)
    return not refused and len(rows) >= BATCH


STRATEGY = (
    "syn_stock",
    "stock_change_count",
    "stock_syn_rule_id",
    "stock_syn_rule_no",
    "stock_syn_other",
    "stock_syn_warehouses",
    "stock_syn_mask",
    "stock_syn_percent",
    "stock_syn_plus",
    "stock_syn_min",
    "stock_syn_max",
    "is_auto_listing",
    "is_auto_delisting",
)
"""What the flagship wants back with a success, as it was worked out."""


async def _flagship_stock(calls: client.Client, connection: model.Connection, accept: channel.Accept) -> bool:
    numbers: list[Any] = (await calls.call(connection, "qjb.stock.queue", {"size": BATCH})).data or []
    for number in numbers:
        try:
            worked_out = (await calls.call(connection, "qjb.stock.calc", {"rec_id": number})).data
        except errors.Rejected as error:
            # Goods that were stopped meanwhile: said to the vendor, or they would be given for ever.
            words = {"is_syn_success": False, "syn_result": str(error.message)[:200]}
            await calls.call(connection, "qjb.stock.fail", {"rec_id": number, "info": words})
            continue
        await _store([worked_out], accept)
        told = {name: worked_out[name] for name in STRATEGY if name in worked_out}
        told |= {"is_syn_success": True, "is_manual": False, "syn_result": DONE}
        await calls.call(connection, "qjb.stock.ack", {"rec_id": number, "info": told})
    return len(numbers) >= BATCH
