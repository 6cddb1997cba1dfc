"""How far a connector has come, worked out from its folder and never claimed: bronze, silver, gold.

Pure over the declaration and the files. Each requirement is one function that answers what is missing, or None.
Bronze: a person can connect it. Silver: it can be trusted in a trial, everything about it is rehearsed and proven.
Gold: nothing is guessed, and no lost answer needs a person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from importlib.resources.abc import Traversable
from typing import Any

from connectors.core import declaration, jsontext, registry

ErrorClass = declaration.ErrorClass


class Level(IntEnum):
    """Compare with ``>=``."""

    NONE = 0
    BRONZE = 1
    SILVER = 2
    GOLD = 3


@dataclass(frozen=True, slots=True)
class Grade:
    """A level, and in words what keeps the connector from the next one."""

    level: Level
    missing: tuple[declaration.Text, ...] = ()


Requirement = Callable[[declaration.Declaration, Traversable], declaration.Text | None]


def _text(zh: str, en: str) -> declaration.Text:
    return declaration.Text(zh=zh, en=en)


def _explained(spec: declaration.Declaration, files: Traversable) -> declaration.Text | None:
    bare = [one.key for one in spec.fields if one.help is None]
    return _text(f"字段缺少说明：{'、'.join(bare)}", f"fields without help: {', '.join(bare)}") if bare else None


def _documented(spec: declaration.Declaration, files: Traversable) -> declaration.Text | None:
    there = files.joinpath("README.md").is_file()
    return None if there else _text("缺少 README.md", "README.md is missing")


def _covered(spec: declaration.Declaration, files: Traversable) -> declaration.Text | None:
    rules = [*spec.errors, *(rule for one in spec.operations.values() for rule in one.errors)]
    needed = {ErrorClass.THROTTLED, ErrorClass.CREDENTIAL, ErrorClass.REJECTED, ErrorClass.UNAVAILABLE}
    if any(one.token is not None for one in spec.auth):
        needed.add(ErrorClass.TOKEN)
    lost = sorted(needed - {one.becomes for one in rules})
    return _text(f"错误表缺少：{'、'.join(lost)}", f"the error table lacks: {', '.join(lost)}") if lost else None


def _hinted(spec: declaration.Declaration, files: Traversable) -> declaration.Text | None:
    rules = [*spec.errors, *(rule for one in spec.operations.values() for rule in one.errors)]
    bare = sum(one.hint is None for one in rules)
    return _text(f"{bare} 条错误没有提示", f"{bare} error rules have no hint") if bare else None


def _simulated(spec: declaration.Declaration, files: Traversable) -> declaration.Text | None:
    lost = [name for name in ("simulator.py", "rehearsal.yaml") if not files.joinpath(name).is_file()]
    return _text(f"缺少 {'、'.join(lost)}", f"missing: {', '.join(lost)}") if lost else None


def _sampled(spec: declaration.Declaration, files: Traversable) -> declaration.Text | None:
    home = files.joinpath("samples")
    some = home.is_dir() and any(one.name != "vectors.json" for one in home.iterdir())
    return None if some else _text("没有样例报文", "there are no samples")


def _proven(spec: declaration.Declaration, files: Traversable) -> declaration.Text | None:
    doors = {one.verify.scheme for one in spec.events.values() if one.verify is not None} - {"none", "token"}
    if spec.signing.scheme == "none" and not doors:
        return None
    file = files.joinpath("samples", "vectors.json")
    vectors: Any = jsontext.loads(file.read_bytes()) if file.is_file() else []
    if any(one.get("verified") and one.get("source") for one in vectors):
        return None
    return _text("签名或加密没有公开用例证明", "no sourced vector proves its signing or encryption")


def _shut(spec: declaration.Declaration, files: Traversable) -> declaration.Text | None:
    wide = [key for key, one in spec.events.items() if one.verify and one.verify.scheme == "none" and not one.when]
    return _text(f"不验证的入口：{'、'.join(wide)}", f"doors open to everybody: {', '.join(wide)}") if wide else None


def _repeatable(spec: declaration.Declaration, files: Traversable) -> declaration.Text | None:
    once = [
        key
        for key, one in spec.operations.items()
        if one.kind in ("write", "act") and one.idempotent is declaration.Idempotency.NO
    ]
    return (
        _text(f"答复丢失时需人工确认：{'、'.join(once)}", f"a lost answer needs a person: {', '.join(once)}")
        if once
        else None
    )


def _confirmed(spec: declaration.Declaration, files: Traversable) -> declaration.Text | None:
    count = len(spec.unconfirmed)
    return _text(f"有 {count} 条未证实的事实", f"{count} facts are unconfirmed") if count else None


REQUIREMENTS: dict[Level, tuple[Requirement, ...]] = {
    Level.BRONZE: (_explained, _documented, _covered, _hinted),
    Level.SILVER: (_simulated, _sampled, _proven, _shut),
    Level.GOLD: (_repeatable, _confirmed),
}


def judged(spec: declaration.Declaration, files: Traversable) -> Grade:
    """The grade of a declaration in its folder; ``missing`` is what keeps it from the next level."""
    reached = Level.NONE
    for level, requirements in REQUIREMENTS.items():
        missing = [found for one in requirements if (found := one(spec, files)) is not None]
        if missing:
            return Grade(reached, tuple(missing))
        reached = level
    return Grade(reached)


def of(connector: str) -> Grade:
    """The grade of a connector that is here. Raises UnknownConnector or DeclarationError."""
    return judged(registry.get(connector), registry.folder(connector))
