"""Fitting: which connections can play a part, and by which operations. Pure; asks declarations and mappings only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.core import model, registry, scope
from gateway import current, route_soundness
from gateway.recipes import recipe
from mappings import canonical
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import flows, route, sides


@dataclass(frozen=True, slots=True)
class Fit:
    """A connection that can play a part. ``operations``: capability -> operations for it, the likeliest first."""

    connection: str
    connector: str
    operations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    occasions: tuple[str, ...] = ()
    greetings: tuple[str, ...] = ()
    """Those of the occasions that must be answered at once."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """A connection that cannot, with the reasons in (zh, en)."""

    connection: str
    reasons: tuple[tuple[str, str], ...]


def cast(part: recipe.Role, now: current.Current) -> tuple[list[Fit], list[Stranger]]:
    """Who can play a part, by key, and who cannot. Disabled connections are not asked."""
    fits, strangers = [], []
    world = now.world()
    for key, row in now.connections.items():
        if row.state is ConnectionState.DISABLED:
            continue
        found = judge(part, key, row.connector, row.config, world)
        if isinstance(found, Fit):
            fits.append(found)
        else:
            strangers.append(found)
    return fits, strangers


def judge(
    part: recipe.Role, key: str, connector: str, config: Mapping[str, Any], world: route_soundness.World
) -> Fit | Stranger:
    """Whether one connection can play a part."""
    try:
        spec = world.connectors.get(connector)
    except (registry.UnknownConnector, registry.DeclarationError):
        return Stranger(key, ((f"连接器 {connector} 无法使用", f"the connector {connector} cannot be used"),))
    reasons: list[tuple[str, str]] = []
    if part.categories and spec.category not in part.categories:
        reasons.append((f"类别是 {spec.category}", f"its category is {spec.category}"))
    given = route_soundness.emitted(connector, config, world.connectors)
    for entity in part.emits:
        if given is not None and entity not in given:
            reasons.append((f"不产生 {entity}", f"it has no events of {entity}"))
    opened = model.Connection(key, spec, config, {})
    for entity in part.lists:
        open_ = "${" in entity  # a parameter says which; until then any will do
        if not any(_lists(opened, one, world) for one in (canonical.MODELS if open_ else [entity])):
            reasons.append(
                ("不能列出记录", "it lists nothing") if open_ else (f"不能列出 {entity}", f"it cannot list {entity}")
            )
    operations: dict[str, tuple[str, ...]] = {}
    for name, wanted in part.takes.items():
        operations[name] = tuple(serving(wanted, connector, opened, world))
        if not operations[name] and not wanted.optional:
            said = wanted.purpose or wanted.entity
            reasons.append((f"没有可用于 {said} 的接口操作", f"it has no operation for {said}"))
    occasions = tuple(
        n for n, m in spec.messages.items() if part.occasions and m.occasion and m.entity == part.occasions
    )
    if part.occasions and not occasions:
        reasons.append((f"不会告知 {part.occasions} 的新增", f"it does not tell when a {part.occasions} is added"))
    if part.goods and spec.category != "generic" and not _lists_goods(connector, given, world):
        reasons.append(("不提供带商家编码的商品", "it does not tell its goods with the merchant's codes"))
    greetings = tuple(name for name in occasions if spec.messages[name].fast)
    return Stranger(key, tuple(reasons)) if reasons else Fit(key, connector, operations, occasions, greetings)


def _lists(opened: model.Connection, entity: str, world: route_soundness.World) -> bool:
    made = world.mapping(opened.declaration.id, entity)
    return made is not None and made.reads and sides.list_operation(opened.declaration, entity, opened) is not None


def _lists_goods(connector: str, given: Iterable[str] | None, world: route_soundness.World) -> bool:
    made = world.mapping(connector, "product")
    tells = given is None or "product" in given
    return tells and made is not None and any((rule.canonical or "").startswith("skus") for rule in made.spec.rules)


def serving(
    wanted: recipe.Capability, connector: str, opened: model.Connection, world: route_soundness.World
) -> list[str]:
    """The operations that do what is wanted, the likeliest first: with the purpose asked for, then as declared."""
    spec, config = opened.declaration, scope.settings(opened)
    steps = {step.operation for one in spec.operations.values() if one.flow for step in one.flow.steps}
    found: list[tuple[int, bool, int, str]] = []
    for name, one in spec.operations.items():
        if not scope.applies(one.when, config) or name in steps:
            continue
        if one.kind not in wanted.kinds or one.entity not in (wanted.entity, None):
            continue
        if one.purpose != wanted.purpose and (wanted.purpose or one.purpose == "welcome"):
            continue
        target = route.Target(connection="x", operation=name)
        made = world.mapping(connector, flows.mapping_name(target, one, wanted.entity))
        if made is not None and made.writes and made.spec.entity == wanted.entity:
            found.append((wanted.kinds.index(one.kind), one.purpose is not None, len(found), name))
    return [name for _, _, _, name in sorted(found)]
