"""Making: a recipe with its parts cast and its parameters set becomes entries of a ``hub.yaml``. Pure.

What comes out is an ordinary file: it is checked, compared and applied like one that a person wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from connectors.core import template
from gateway import current, hub_file, soundness
from gateway.problems import Fault
from gateway.recipes import fitting, recipe, setting
from retry_queue.sync import route

LONGEST_KEY = 60


class _Piece(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Filling(_Piece):
    """A connection in a part; ``operations``: capability -> operation, where another than the likeliest is wanted."""

    connection: route.Key
    operations: dict[str, str] = Field(default_factory=dict, max_length=10)
    parameters: dict[str, Any] = Field(default_factory=dict, max_length=20)


class Casting(_Piece):
    """Everything an admin chose."""

    parts: dict[str, Annotated[list[Filling], Field(max_length=100)]] = Field(default_factory=dict, max_length=10)
    parameters: dict[str, Any] = Field(default_factory=dict, max_length=20)


@dataclass(slots=True)
class Made:
    """``text`` is the file; with ``faults`` it is not complete."""

    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def suggested(wanted: recipe.Recipe, now: current.Current) -> Casting:
    """The casting that needs no thought: everybody who fits where several may play, else the first.

    Nobody plays two parts as long as somebody else can, and what may be left out is: that is a person's choice.
    """
    parts: dict[str, list[Filling]] = {}
    used: set[str] = set()
    usual = {one.key: one.default for one in wanted.parameters}
    asked = {part.key: fitting.cast(_asked(part, usual), now)[0] for part in wanted.parts}
    fitting_ = {key: [fit.connection for fit in fits] for key, fits in asked.items()}
    needed = [part for part in wanted.parts if not part.optional]
    for part in sorted(needed, key=lambda one: (one.many, len(fitting_[one.key]))):
        free = [one for one in fitting_[part.key] if one not in used] or fitting_[part.key]
        chosen = free if part.many else free[:1]
        used |= set(chosen)
        if chosen:
            parts[part.key] = [Filling(connection=one) for one in chosen]
    return Casting(parts=parts)


def make(wanted: recipe.Recipe, chosen: Casting, now: current.Current) -> Made:
    """The file, or what is missing and wrong in what was chosen."""
    made = Made()
    plain = setting.values(wanted, chosen.parameters, made.faults)
    players = {part.key: _players(part, wanted, chosen, now, plain, made.faults) for part in wanted.parts}
    for key in chosen.parts.keys() - players.keys():
        made.faults.append(soundness.unknown("unknown_part", ("角色", "part"), key, players, "parts", key))
    if made.faults:
        return made
    scope: dict[str, Any] = {**plain}
    for part in wanted.parts:
        if not part.many and players[part.key]:
            scope[part.key] = players[part.key][0]
    document: dict[str, Any] = {"apiVersion": hub_file.API_VERSION}
    for section in recipe.LISTS:
        entries = [one for entry in getattr(wanted, section) for one in _entries(entry, scope, players)]
        if entries:
            document[section] = entries
    entities = {
        name: _under(now.entities.get(name, {}), _rendered(rule, scope)) for name, rule in wanted.entities.items()
    }
    if entities:
        document["entities"] = entities
    made.data = document
    made.text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=110)
    return made


# --- what was chosen ------------------------------------------------------------------------------


def _players(
    part: recipe.Role, wanted: recipe.Recipe, chosen: Casting, now: current.Current, plain: Mapping[str, Any],
    faults: list[Fault],
) -> list[dict[str, Any]]:  # fmt: skip
    """The scope of every connection in a part."""
    fillings, above = chosen.parts.get(part.key, []), ("parts", part.key)
    if not fillings and not part.optional:
        faults.append(Fault("part_missing", f"请选择「{part.label.zh}」", f"choose '{part.label.en}'", above))
    if len(fillings) > 1 and not part.many:
        zh, en = f"「{part.label.zh}」只能选一个连接", f"'{part.label.en}' takes one connection"
        faults.append(Fault("part_single", zh, en, above))
    part = _asked(part, plain)
    found: list[dict[str, Any]] = []
    world = now.world()
    for place, filling in enumerate(fillings):
        here = (*above, place)
        row = now.connections.get(filling.connection)
        if row is None:
            named = soundness.unknown("unknown_connection", ("连接", "connection"), filling.connection, now.connections)
            faults.append(named.under(*here, "connection"))
            continue
        if any(filling.connection == one["key"] for one in found):
            faults.append(
                Fault("twice", "同一个连接选了两次", "this connection is chosen twice", (*here, "connection"))
            )
        fit = fitting.judge(part, filling.connection, row.connector, row.config, world)
        if isinstance(fit, fitting.Stranger):
            zh = f"连接 {filling.connection} 不能担任「{part.label.zh}」：" + "；".join(one for one, _ in fit.reasons)
            en = f"'{filling.connection}' cannot be '{part.label.en}': " + "; ".join(one for _, one in fit.reasons)
            faults.append(Fault("unfit", zh, en, (*here, "connection")))
            continue
        mine = setting.own(wanted, part.key, filling.parameters, plain, here, faults)
        found.append(_player(filling, fit, here, faults) | mine)
    return found


def _asked(part: recipe.Role, plain: Mapping[str, Any]) -> recipe.Role:
    """The part with the entities that a parameter decides."""
    return part.model_copy(update={"lists": [str(template.render(one, plain)) for one in part.lists]})


def _player(filling: Filling, fit: fitting.Fit, here: tuple[str | int, ...], faults: list[Fault]) -> dict[str, Any]:
    for name in filling.operations.keys() - fit.operations.keys():
        what = ("能力", "capability")
        faults.append(soundness.unknown("unknown_capability", what, name, fit.operations, *here, "operations", name))
    operations = {}
    for name, options in fit.operations.items():
        picked = filling.operations.get(name)
        if picked is not None and picked not in options:
            what = ("合适的接口操作", "fitting operation")
            faults.append(soundness.unknown("unknown_operation", what, picked, options, *here, "operations", name))
        if options:
            operations[name] = picked or options[0]
    told = {"occasions": json.dumps(fit.occasions), "greetings": json.dumps(fit.greetings)}
    return {"key": fit.connection, **told, **operations}


# --- entries --------------------------------------------------------------------------------------


def _entries(
    entry: Mapping[str, Any], scope: Mapping[str, Any], players: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    body = {key: value for key, value in entry.items() if key not in recipe.RESERVED}
    loop = entry.get("each")
    scopes = [{**scope, **player, loop: player} for player in players[loop]] if loop else [dict(scope)]
    found = []
    for one in scopes:
        if not all(_holds(condition, one) for condition in recipe.conditions(entry)):
            continue
        made = _rendered(body, one)
        if "key" in made:
            made["key"] = shortened(str(made["key"]))
        found.append(made)
    return found


def _holds(condition: recipe.Condition, scope: Mapping[str, Any]) -> bool:
    found = template.render(f"${{{condition.name}}}", scope)
    there = found not in (None, "", []) if condition.value is None else str(found) == condition.value
    return there != condition.negated


def _rendered(node: Any, scope: Mapping[str, Any]) -> Any:
    """The node with its placeholders filled; a member that names nothing is left out."""
    return template.render(node, {key: value for key, value in scope.items() if value is not None})


def shortened(key: str) -> str:
    """A key of at most sixty characters that is still its own."""
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 9]}-{hashlib.blake2b(key.encode(), digest_size=4).hexdigest()}"


def _under(there: Mapping[str, Any], rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule of the site with what the recipe says beneath it: what is there already stays."""
    merged = dict(rule)
    for key, value in there.items():
        inner = merged.get(key)
        merged[key] = _under(value, inner) if isinstance(value, Mapping) and isinstance(inner, Mapping) else value
    return merged
