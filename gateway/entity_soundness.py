"""What makes the rule of an entity sound: the fields and connections it names. Pure; the API and hub.yaml share it."""

from __future__ import annotations

from collections.abc import Iterable

from gateway import soundness
from gateway.problems import Fault
from mappings import canonical
from retry_queue.sync import route


def unknown_fields(entity: str, rule: route.EntityRule) -> list[Fault]:
    """Fields that the standard model does not have, and matching of what is no person."""
    fields = canonical.MODELS[entity].model_fields
    found = [
        soundness.unknown("unknown_field", ("字段", "field"), path, fields, part, path)
        for part, path in [*(("owners", one) for one in rule.owners), *(("fields", one) for one in rule.fields)]
        if path.split(".")[0] not in fields
    ]
    if rule.match is not None and entity != "customer":
        found.append(Fault("match_of_things", "match 只用于 customer", "match is for customer only", ("match",)))
    return found


def unknown_connections(rule: route.EntityRule, known: Iterable[str], forgiven: Iterable[str] = ()) -> list[Fault]:
    """Connections that are not there. Those of ``forgiven`` are broken, which is said elsewhere."""
    there = set(known)
    spoken: list[tuple[str, tuple[str | int, ...]]] = [(key, ("owners", path)) for path, key in rule.owners.items()]
    spoken += [(key, ("rank", place)) for place, key in enumerate(rule.rank)]
    return [
        soundness.unknown("unknown_connection", ("连接", "connection"), key, there, *path)
        for key, path in spoken
        if key not in there and key not in set(forgiven)
    ]


def faults(entity: str, rule: route.EntityRule, known: Iterable[str]) -> list[Fault]:
    """Everything wrong with a rule beyond its shape."""
    return [*unknown_fields(entity, rule), *unknown_connections(rule, known)]
