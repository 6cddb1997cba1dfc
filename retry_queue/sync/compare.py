"""Comparing 对账: one record as two systems have it, and what of it differs. Pure.

Only what both mappings carry is compared, in the one spelling of ``echo.plain``. Times within a second are equal,
lists are compared without their order, and a masked text equals what it may stand for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from mappings import canonical as models
from retry_queue.sync import carried, echo

SECOND = Decimal(1)
"""Systems cut fractions off; times that near are one."""
LONGEST = 2000
"""Characters of a value that a finding shows."""
KEYS = ("sku", "code", "barcode", "title", "kind")
"""What tells the elements of a list apart, the first that does."""

_ADDRESS_PARTS = ("province", "city", "district", "town", "street")
_ADDRESS = frozenset(_ADDRESS_PARTS)

Body = dict[str, Any]
"""Path -> value in one spelling; a list of objects stands whole under its own path."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is compared, and how nearly. ``tolerance``: path -> how far numbers (times: seconds) may be apart."""

    paths: tuple[str, ...]
    tolerance: Mapping[str, Decimal] = field(default_factory=dict)


def paths(
    entity: str,
    left: carried.Carried,
    right: carried.Carried,
    only: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> tuple[str, ...]:
    """The leaf paths to compare: those both mappings carry both ways, or of what both read those in ``only``.

    ``only`` and ``ignore`` may name a branch. Ids that only their own system knows are left out unless ``only``
    names them.
    """
    model = models.MODELS.get(entity)
    refs = set(model.REFS) if model else set()
    found = []
    for path in sorted(left.reads & right.reads if only else left.both & right.both):
        leaf = path.rpartition(".")[2]
        own = path in refs or path.partition(".")[0] in echo.UNCOMPARED or leaf == "id" or leaf.endswith("_id")
        if any(_under(path, one) for one in ignore) or (own and path not in only):
            continue
        if not only or any(_under(path, one) for one in only):
            found.append(path)
    return tuple(found)


def _under(path: str, branch: str) -> bool:
    return path == branch or path.startswith(f"{branch}.")


def body(canonical: Mapping[str, Any], wanted: Sequence[str]) -> Body:
    """What of a record is compared, as plain JSON data."""
    found: Body = {}
    groups: dict[str, list[str]] = {}
    for path in wanted:
        root = _list_root(canonical, path)
        if root is None:
            value = echo.plain(echo.pick(canonical, path))
            if not _empty(value):
                found[path] = value
        else:
            groups.setdefault(root, []).append(path[len(root) + 1 :])
    for root, inner in groups.items():
        elements = [body(one, inner) for one in echo.pick(canonical, root) if isinstance(one, Mapping)]
        if any(elements):
            found[root] = [one for one in elements if one]
    return found


def _list_root(canonical: Mapping[str, Any], path: str) -> str | None:
    """The part of ``path`` that leads to a list of objects, if some part does."""
    steps = path.split(".")
    for length in range(1, len(steps)):
        value = echo.pick(canonical, ".".join(steps[:length]))
        if isinstance(value, list):
            return ".".join(steps[:length])
        if not isinstance(value, Mapping):
            return None
    return None


def _empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def differences(left: Mapping[str, Any], right: Mapping[str, Any], terms: Terms) -> list[dict[str, Any]]:
    """[{path, left, right}] of everything that differs; an empty list when the two say the same."""
    found: list[dict[str, Any]] = []
    for path in sorted({*left, *right}):
        here, there = left.get(path), right.get(path)
        if objects(here) or objects(there):
            found += lists(path, here or [], there or [], terms)
        elif not equal(here, there, terms.tolerance.get(path)):
            found.append(told(path, here, there))
    return found


def told(path: str, left: Any, right: Any) -> dict[str, Any]:
    """A difference as a finding keeps it."""
    return {"path": path, "left": _shown(left), "right": _shown(right)}


def objects(value: Any) -> bool:
    """Whether it is a list of objects."""
    return isinstance(value, list) and any(isinstance(one, Mapping) for one in value)


def lists(path: str, left: list[Any], right: list[Any], terms: Terms) -> list[dict[str, Any]]:
    """Lists of objects: element by element where something tells them apart, else as a whole."""
    mine, theirs = list(left), list(right)
    for one in left:  # what is the same on both sides, whatever its place
        twin = next((other for other in theirs if not _inner(path, one, other, terms)), None)
        if twin is not None:
            mine.remove(one)
            theirs.remove(twin)
    if not mine and not theirs:
        return []
    key = next((name for name in KEYS if _tells(name, left) and _tells(name, right)), None)
    if key is None:
        return [told(path, left, right)]
    found = []
    here, there = {one[key]: one for one in mine}, {one[key]: one for one in theirs}
    for name in sorted({*here, *there}, key=str):
        place = f"{path}[{key}={name}]"
        if name in here and name in there:
            found += [{**one, "path": f"{place}.{one['path']}"} for one in _inner(path, here[name], there[name], terms)]
        else:
            found.append(told(place, here.get(name), there.get(name)))
    return found


def _inner(path: str, left: Any, right: Any, terms: Terms) -> list[dict[str, Any]]:
    """Two elements of a list; tolerances are given by the path through it (``lines.price``)."""
    if not isinstance(left, Mapping) or not isinstance(right, Mapping):
        return [] if left == right else [told(".", left, right)]
    start = f"{path}."
    near = {name[len(start) :]: value for name, value in terms.tolerance.items() if name.startswith(start)}
    return differences(left, right, Terms(terms.paths, near))


def _tells(name: str, elements: list[Any]) -> bool:
    values = [one.get(name) for one in elements if isinstance(one, Mapping)]
    return all(isinstance(value, str) for value in values) and len(set(values)) == len(values) == len(elements)


def equal(left: Any, right: Any, near: Decimal | None) -> bool:
    """Whether two values of one field say the same; ``near``: how far apart numbers (times: seconds) may be."""
    if _empty(left) or _empty(right):
        return _empty(left) and _empty(right)
    if left == right:
        return True
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return bool(left.keys() & _ADDRESS and right.keys() & _ADDRESS) and _spoken(left) == _spoken(right)
    if isinstance(left, list) and isinstance(right, list):
        return Counter(map(_written, left)) == Counter(map(_written, right))
    if not isinstance(left, str) or not isinstance(right, str):
        return False
    moments = _both(_moment, left, right)
    if moments is not None:
        apart = Decimal(str(abs((moments[0] - moments[1]).total_seconds())))
        return apart <= max(near or SECOND, SECOND)
    if near is not None:
        numbers = _both(_number, left, right)
        if numbers is not None:
            return bool(abs(numbers[0] - numbers[1]) <= near)
    return _masked(left, right) or _masked(right, left)


def _spoken(address: Mapping[str, Any]) -> str:
    """An address as one would say it, wherever a system cuts it into parts. Municipalities are named once."""
    parts = [str(address[name]) for name in _ADDRESS_PARTS if address.get(name)]
    text = "".join(part for place, part in enumerate(parts) if place == 0 or part != parts[place - 1])
    return "".join(character for character in text if character.isalnum() or character == "*")


def _both(read: Callable[[str], Any], left: str, right: str) -> tuple[Any, Any] | None:
    here, there = read(left), read(right)
    return None if here is None or there is None else (here, there)


def _moment(text: str) -> datetime | None:
    if len(text) < 19 or text[10:11] != "T":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _masked(text: str, other: str) -> bool:
    """Whether ``text``, whose middle is asterisks, may stand for ``other``."""
    first, last = text.find("*"), text.rfind("*")
    if first < 0:
        return False
    head, tail = text[:first], text[last + 1 :]
    return (
        bool(head or tail) and len(other) >= len(head) + len(tail) and other.startswith(head) and other.endswith(tail)
    )


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)


def _shown(value: Any) -> Any:
    """A value as a finding keeps it: whole, unless it is very long."""
    text = _written(value)
    return value if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def natural(entity: str, canonical: Mapping[str, Any]) -> tuple[str, str] | None:
    """(kind, value) of what names the thing in any system, where its number does not; masked values name nobody."""
    for path in _NATURAL.get(entity, ()):
        value = echo.pick(canonical, path)
        if isinstance(value, str) and value and "*" not in value:
            return path, value
    return None


_NATURAL: dict[str, tuple[str, ...]] = {
    "customer": ("phone", "email"),
    "shipment": ("tracking_number",),
    "inventory": ("sku",),
}
