"""What an OpenAPI answer looks like: where its rows are, the record's id, its time, and how the next page is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.core.own import references

_ENVELOPES = ("data", "result", "response", "body", "payload")
_ROWS = ("items", "list", "records", "results", "rows", "data", "content", "values", "entries")
_TOTALS = ("total", "total_count", "totalCount", "totalElements", "total_results", "count")
_CURSORS = ("next_cursor", "nextCursor", "next_page_token", "nextPageToken", "next_token", "cursor", "next")
_MORE = ("has_more", "hasMore", "has_next", "hasNext")
_TIMES = ("updated_at", "updatedAt", "modified_at", "modifiedAt", "update_time", "updateTime", "modified", "updated",
          "last_modified", "lastModified", "gmt_modified")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """Paths for a declaration: ``items`` and ``id`` below ``result``, the rest from the body."""

    result: str | None = None
    items: str | None = None
    id: str | None = None
    time: str | None = None
    total: str | None = None
    cursor: str | None = None
    more: str | None = None
    address: bool = False
    """``cursor`` is the next page's address."""


def of(operation: dict[str, Any], refs: references.References) -> Answer:
    """The answer of an operation, as far as its schema tells."""
    schema = _schema(operation, refs)
    if _rows(schema):
        return _listed(schema, None, ".", refs, {})
    known = members(schema, refs)
    envelope = next((name for name in _ENVELOPES if members(refs.of(known.get(name)), refs)), None)
    inner = members(refs.of(known[envelope]), refs) if envelope else known
    for here, place, around in ((known, None, known), (inner, envelope, {**known, **inner})):
        rows = _row_member(here, refs)
        if rows is not None:
            return _listed(refs.of(here[rows]), place, rows, refs, around, top=known)
    return Answer(result=envelope, id=_id(inner))


def paging(answer: Answer, roles: dict[str, dict[str, Any]], names: dict[str, str]) -> dict[str, Any]:
    """The paging style, by what the answer carries and what the query takes.

    ``roles``: what stands for a parameter -> its schema; ``names``: -> its name.
    """
    made = _style(answer, roles, names)
    size, first = roles.get("${page.size}", {}), roles.get("${page.no}", {})
    bounds = [one for one in (size.get("maximum"), size.get("default")) if type(one) is int and one > 0]
    if made["style"] != "none" and bounds:
        made["size"] = bounds[0]
    begins = [one for one in (first.get("default"), first.get("minimum")) if type(one) is int and one in (0, 1)]
    if made["style"] == "page" and begins:
        made["first"] = begins[0]
    return made


def _style(answer: Answer, roles: dict[str, dict[str, Any]], names: dict[str, str]) -> dict[str, Any]:
    if answer.address and answer.cursor and "${page.cursor}" in roles:
        return {"style": "link", "next": answer.cursor, "cursor": names["${page.cursor}"]}
    if answer.cursor and "${page.cursor}" in roles:
        made = {"style": "cursor", "cursor": answer.cursor}
        return {**made, "has_next": answer.more} if answer.more else made
    style = "page" if "${page.no}" in roles else "offset" if "${page.offset}" in roles else "none"
    if style == "none":
        return {"style": style}
    if answer.total:
        return {"style": style, "total": answer.total}
    more = answer.more or (answer.cursor if answer.address else None)
    return {"style": style, "has_next": more} if more else {"style": style}


def members(schema: dict[str, Any], refs: references.References, deep: int = 0) -> dict[str, Any]:
    """The properties of an object schema, those of its ``allOf`` parts among them."""
    found: dict[str, Any] = {}
    if deep < 8:
        for part in schema.get("allOf") or []:
            found |= members(refs.of(part), refs, deep + 1)
    own = schema.get("properties")
    return {**found, **own} if isinstance(own, dict) else found


def _schema(operation: dict[str, Any], refs: references.References) -> dict[str, Any]:
    responses = operation.get("responses")
    for status, told in (responses if isinstance(responses, dict) else {}).items():
        content = refs.of(told).get("content") if str(status).startswith("2") else None
        for kind, media in (content if isinstance(content, dict) else {}).items():
            if "json" in kind:
                return refs.of(refs.of(media).get("schema"))
    return {}


def _rows(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "array" or (isinstance(kind, list) and "array" in kind)


def _row_member(known: dict[str, Any], refs: references.References) -> str | None:
    lists = [name for name, schema in known.items() if _rows(refs.of(schema))]
    plain = [name for name in _ROWS if name in lists]
    if plain:
        return plain[0]
    # An order with lines has an id of its own; a page of orders has none.
    return lists[0] if len(lists) == 1 and "id" not in known else None


def _listed(
    schema: dict[str, Any], result: str | None, items: str, refs: references.References, around: dict[str, Any],
    top: dict[str, Any] | None = None,
) -> Answer:  # fmt: skip
    row = members(refs.of(schema.get("items")), refs)

    def place(names: tuple[str, ...]) -> str | None:
        name = next((one for one in names if one in around), None)
        return name if name is None or result is None or name in (top or {}) else f"{result}.{name}"

    time = next((name for name in _TIMES if name in row), None)
    named = next((one for one in _CURSORS if one in around), "")
    address = str(refs.of(around.get(named)).get("format")) in ("uri", "url", "uri-reference")
    return Answer(result, items, _id(row), time, place(_TOTALS), place(_CURSORS), place(_MORE), address)


def _id(known: dict[str, Any]) -> str | None:
    if "id" in known:
        return "id"
    return next((name for name in known if name.lower().endswith(("_id", "id", "_no", "number", "code"))), None)
