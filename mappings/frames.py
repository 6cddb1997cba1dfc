"""What rules see besides the record they read: the context, and in expressions the enclosing records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mappings import canonical, kinds

ROOTS = frozenset({"config", "event", "link", "step", *canonical.MODELS})
"""Context roots: the connection's settings, the event, known target ids, what earlier steps of the route came to,
and joined canonical records."""

SPECIAL = frozenset({"this", "parent"})
"""Names with a meaning of their own in expressions: the record read, and the one around it."""


class Frame:
    """The scope of expressions over one record. Names: special, then the record's own, then context roots.

    ``context`` values under the name of an entity are canonical records from storage; they are brought
    back to Decimal and datetime the first time an expression asks for them.
    """

    __slots__ = ("context", "parent", "record", "revived")

    def __init__(self, record: Any, context: Mapping[str, Any], parent: Frame | None = None) -> None:
        self.record = record
        self.context = context
        self.parent = parent
        self.revived: dict[str, Any] = {} if parent is None else parent.revived

    def get(self, name: str, /) -> Any:
        if name == "this":
            return self.record
        if name == "parent":
            return None if self.parent is None else self.parent.record
        if name[0] == "@":
            return self._root(name[1:])
        if isinstance(self.record, dict):
            value = self.record.get(name)
            if value is not None or name in self.record:
                return value
        return self._root(name)

    def _root(self, name: str) -> Any:
        value = self.context.get(name)
        if name not in canonical.MODELS or not isinstance(value, dict):
            return value
        if name not in self.revived:
            self.revived[name] = kinds.revive(name, value)
        return self.revived[name]


__all__ = ["ROOTS", "SPECIAL", "Frame"]
