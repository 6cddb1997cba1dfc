"""``$ref`` inside one document: local pointers only, bounded, so that no document makes us fetch or loop."""

from __future__ import annotations

from typing import Any

from connectors.core.own import source

FURTHEST = 32
"""References that may follow each other."""


class References:
    """Resolves references of one document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def of(self, node: Any) -> dict[str, Any]:
        """The object meant, after following its reference; an empty one for anything else. Raises source.Broken."""
        for _ in range(FURTHEST):
            if not isinstance(node, dict):
                return {}
            target = node.get("$ref")
            if not isinstance(target, str):
                return node
            node = self._find(target)
        raise _wrong("引用互相指向，没有尽头", "references that lead in a circle")

    def _find(self, target: str) -> Any:
        if not target.startswith("#/"):
            shown = target[:100]
            zh = f"只接受文档内部的引用（#/…），不接受 {shown}；请先合并成一个文件"
            raise _wrong(zh, f"only references inside the document (#/…) are taken, not {shown}; bundle it first")
        here: Any = self._document
        for part in target[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(here, dict) and key in here:
                here = here[key]
            elif isinstance(here, list) and key.isdigit() and int(key) < len(here):
                here = here[int(key)]
            else:
                raise _wrong(f"引用 {target[:100]} 指向的内容不存在", f"nothing is at the reference {target[:100]}")
        return here


def _wrong(zh: str, en: str) -> source.Broken:
    return source.Broken([source.Wrong((), zh, en)])
