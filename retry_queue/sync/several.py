"""Records that are several on one side: what the parts of a split order, or customers found to be one, say together.

Compared is what can be said of a whole: amounts and quantities are added up, lists are joined, and everything else
must be what each part says, or, of a person and of what moves on part by part, what one of them says. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from retry_queue.sync import compare

ADDED = frozenset({"quantity", "amount", "total", "goods_total", "discount_total", "freight", "paid", "discount"})
"""What the parts have shares of."""
OWN = frozenset({"number", "tracking_number"})
"""What each part has of its own."""
PEOPLE = "customer"


def differences(
    entity: str, left: Sequence[compare.Body], right: Sequence[compare.Body], terms: compare.Terms
) -> list[dict[str, Any]]:
    """[{path, left, right}] of what the left records together say otherwise than the right ones together."""
    found: list[dict[str, Any]] = []
    for path in sorted({path for body in (*left, *right) for path in body} - OWN):
        here = [body[path] for body in left if path in body]
        there = [body[path] for body in right if path in body]
        if any(compare.objects(one) for one in (*here, *there)):
            found += compare.lists(path, _joined(here), _joined(there), terms)
        elif (whole := _unions(here, there) or (_sums(here, there) if _leaf(path) in ADDED else None)) is not None:
            if not compare.equal(whole[0], whole[1], terms.tolerance.get(path)):
                found.append(compare.told(path, whole[0], whole[1]))
        elif not _agree(here, there, terms.tolerance.get(path), all_=entity != PEOPLE and not _moving(path)):
            found.append(compare.told(path, _shown(here), _shown(there)))
    return found


def _leaf(path: str) -> str:
    return path.rpartition(".")[2]


def _moving(path: str) -> bool:
    """What the parts of one thing come to at different times."""
    leaf = _leaf(path)
    return leaf == "status" or leaf.endswith(("_status", "_at"))


def _agree(here: Sequence[Any], there: Sequence[Any], near: Decimal | None, *, all_: bool) -> bool:
    if not here or not there:
        return not here and not there
    said = (compare.equal(one, other, near) for one in here for other in there)
    return all(said) if all_ else any(said)


def _sums(here: Sequence[Any], there: Sequence[Any]) -> tuple[Any, Any] | None:
    """Both sides added up; None where something is no number."""
    try:
        sums = [sum(map(Decimal, side), Decimal(0)).normalize() for side in (here, there)]
    except (InvalidOperation, TypeError, ValueError):
        return None
    return f"{sums[0]:f}", f"{sums[1]:f}"


def _unions(here: Sequence[Any], there: Sequence[Any]) -> tuple[Any, Any] | None:
    """The elements of plain lists, each once."""
    if not all(isinstance(one, list) for one in (*here, *there)):
        return None
    mine, theirs = ([*dict.fromkeys(str(value) for one in side for value in one)] for side in (here, there))
    return mine, theirs


def _joined(given: Sequence[Any]) -> list[Any]:
    """The elements of all parts; those of one key are one, with their shares added up."""
    every = [one for many in given if isinstance(many, list) for one in many]
    names = [name for name in compare.KEYS if all(isinstance(one, Mapping) and one.get(name) for one in every)]
    if not names:
        return every
    made: dict[str, dict[str, Any]] = {}
    for one in every:
        known = made.setdefault(str(one[names[0]]), {})
        for name, value in one.items():
            shares = _sums([value, known.get(name, "0")], ()) if name in ADDED else None
            known[name] = shares[0] if shares else known.get(name, value)
    return list(made.values())


def _shown(given: Sequence[Any]) -> Any:
    told = [one for at, one in enumerate(given) if one not in given[:at]]
    return told[0] if len(told) == 1 else (told or None)


def words(left: int, right: int) -> dict[str, str]:
    """How a finding about several says so."""
    return {
        "zh": f"左侧 {left} 条对应右侧 {right} 条（拆分或合并），已合并比较；无法自动修复，请人工处理",
        "en": f"{left} on the left are {right} on the right (split or merged) and were compared together; "
        "mend it by hand",
    }
