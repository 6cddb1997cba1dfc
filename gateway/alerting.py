"""What makes an alert sound: its channels take messages and can be reached as written. Pure.

The API, hub.yaml and ``check`` share it. Any operation that takes a message is a channel: of a group robot, a mail
server, a system of the site's own. Whether one asks for recipients, its mapping says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from connectors.core import declaration, registry
from gateway import route_soundness, soundness
from gateway.problems import Fault
from mappings import engine
from mappings import errors as mapping_errors
from retry_queue.sync import alarm

MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Way:
    """An operation that takes messages. ``recipients``: it must be told whom to send to."""

    connection: str
    connector: str
    operation: str
    label: declaration.Text
    recipients: bool


def ways(world: route_soundness.World) -> Iterator[Way]:
    """Every channel there is."""
    for key, (connector, config) in sorted(world.connections.items()):
        try:
            spec = world.connectors.get(connector)
        except (registry.UnknownConnector, registry.DeclarationError):
            continue
        for name, operation in spec.operations.items():
            asks = takes(world, connector, config, operation)
            if asks is not None:
                yield Way(key, connector, name, operation.label, asks)


def takes(world: route_soundness.World, connector: str, config: Any, operation: declaration.Operation) -> bool | None:
    """Whether an operation asks for recipients; None when it takes no message at all."""
    if operation.kind != "act" or operation.entity not in (MESSAGE, None):
        return None
    made = world.mapping(connector, operation.mapping or operation.entity or MESSAGE)
    if made is None or not made.writes or made.spec.entity != MESSAGE:
        return None
    alone, addressed = _mapped(made, config, []), _mapped(made, config, ["a@example.com"])
    if addressed is None:
        return None if alone is None else False
    # A generic operation passes everything on; whom it concerns is the receiver's business.
    return alone is None or (operation.entity is not None and alone != addressed)


def _mapped(made: engine.Mapping, config: Any, recipients: list[str]) -> dict[str, Any] | None:
    """A plain message as the operation would get it; None when the mapping wants more than an alert has."""
    message = {
        "id": "alert-1",
        "recipients": recipients,
        "title": "t",
        "text": "t",
        "format": "text",
        "url": "https://h",
    }
    try:
        return made.to_native(message, {"config": dict(config), "link": {}, "event": {}})
    except mapping_errors.MappingError:
        return None


def faults(given: alarm.Alert, world: route_soundness.World, named: Collection[str] = ()) -> list[Fault]:
    """What is wrong with an alert beyond its shape; ``named`` are connections whose own faults are told already."""
    found: list[Fault] = []
    for place, rule in enumerate(given.rules):
        for at, key in enumerate(rule.connections):
            if key not in world.connections and key not in named:
                what = ("连接", "connection")
                fault = soundness.unknown("unknown_connection", what, key, world.connections, "connections", at)
                found.append(fault.under("rules", place))
    seen: set[tuple[str, str]] = set()
    for place, channel in enumerate(given.to):
        found += [one.under("to", place) for one in _channel(channel, world, named)]
        same = (channel.connection, channel.operation)
        if same in seen:
            zh, en = "与上面的渠道重复，请把接收人写在一起", "the same channel as above: write the recipients together"
            found.append(Fault("twice", zh, en, ("to", place)))
        seen.add(same)
    return found


def _channel(channel: alarm.Channel, world: route_soundness.World, named: Collection[str]) -> Iterator[Fault]:
    there = world.connections.get(channel.connection)
    if there is None:
        if channel.connection not in named:
            what = ("连接", "connection")
            yield soundness.unknown("unknown_connection", what, channel.connection, world.connections, "connection")
        return
    try:
        spec = world.connectors.get(there[0])
    except (registry.UnknownConnector, registry.DeclarationError):
        return  # said where the connection is
    operation = spec.operations.get(channel.operation)
    asks = None if operation is None else takes(world, *there, operation)
    if asks is None:
        known = [name for name, one in spec.operations.items() if takes(world, *there, one) is not None]
        what = ("可发消息的接口操作", "operation that sends messages")
        yield soundness.unknown("unknown_operation", what, channel.operation, known, "operation")
    elif asks and not channel.recipients:
        zh, en = "请填写接收人（对方系统里的账号、邮箱或会话）", "say whom: accounts, addresses or chats of that system"
        yield Fault("no_recipients", zh, en, ("recipients",))


def uses(alerts: Collection[dict[str, Any]], connection: str) -> list[str]:
    """The alerts that tell people through a connection."""
    return sorted(one["key"] for one in alerts if any(to.get("connection") == connection for to in one.get("to", [])))
