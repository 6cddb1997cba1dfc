"""How a document is shown: View's property names, and the values queries select by F-key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.kingdee.simulated import books, forms, shipping

STATES = {
    "FDocumentStatus": "status",
    "FCreateDate": "created",
    "FApproveDate": "approved",
    "FModifyDate": "modified",
    "FForbidStatus": "forbid_status",
    "FCancelStatus": "cancel_status",
    "FCloseStatus": "close_status",
}
"""Query keys every form has, and where the books keep them."""


def view(ledger: books.Books, document: books.Document) -> dict[str, Any]:
    """The document as View answers it."""
    form = document.form
    shown: dict[str, Any] = {"Id": document.id, "DocumentStatus": document.status}
    if form.basedata:
        shown |= {"msterID": document.id, "Number": document.number, "ForbidStatus": document.forbid_status}
        approved = "APPROVEDATE" if form.id == "BD_Customer" else "ApproveDate"
    else:
        shown |= {"FFormId": form.id, "BillNo": document.number, "CancelStatus": document.cancel_status}
        shown |= {"CloseStatus": document.close_status} if form.id == "SAL_SaleOrder" else {}
        approved = "ApproveDate"
    shown["CreateDate"] = forms.stamp(document.created)
    shown[form.modified] = forms.stamp(document.modified)
    shown[approved] = forms.stamp(document.approved) if document.approved else None
    shown |= _properties(ledger, form.fields, document.header)
    for entry in form.entries.values():
        rows = [
            {"Id": row["FEntryID"], "Seq": place, **_properties(ledger, entry.fields, row)}
            for place, row in enumerate(document.rows.get(entry.key, []), 1)
        ]
        shown[entry.name] = rows
    return shown


def _properties(ledger: books.Books, known: dict[str, forms.Field], values: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for key, value in values.items():
        item = known.get(key)
        if item is None:
            shown.update({key: value} if forms.OWN_FIELD.match(key) else {})
        elif item.kind == "base":
            shown[f"{item.name}_Id"], shown[item.name] = _reference(ledger, item.target, value)
        elif item.kind == "lang":
            shown[item.name] = forms.per_language(value)
        else:
            shown[item.name] = forms.plain(value)
    return shown


def _reference(ledger: books.Books, target: str | None, number: str | None) -> tuple[int, dict[str, Any] | None]:
    if number is None:
        return 0, None
    found = ledger.documents.get(target or "", {}).get(number)
    key = found.id if found else 1 + sum(number.encode())
    named = ledger.catalogue.get(target or "", {}).get(number, number)
    name = str(found.header.get("FName", number)) if found else named
    return key, {"Id": key, "Number": number, "Name": forms.per_language(name)}


def row_value(ledger: books.Books, document: books.Document, row: dict[str, Any] | None, key: str) -> Any:
    """One query cell. Raises Refused for a key the form does not have; keys are case-sensitive."""
    form = document.form
    if key in STATES:
        return getattr(document, STATES[key])
    if key == form.number_key:
        return document.number
    if key == form.id_key:
        return document.id
    base, _, part = key.partition(".")
    if base == "FAVBQty" and ledger.reserves and "FQty" in document.header and "#" not in document.number:
        return document.header["FQty"] - shipping.owed(ledger, document.header["FMaterialId"])
    if base in form.fields:
        return _cell(ledger, form.fields[base], document.header.get(base), part)
    for entry in form.entries.values():
        source = document.rows.get(entry.key, [{}])[0] if entry.single and document.rows.get(entry.key) else row or {}
        if base == f"{entry.key}_FEntryID":
            return source.get("FEntryID")
        if base == f"{entry.key}_FSeq":
            rows = document.rows.get(entry.key, [])
            return next((place for place, one in enumerate(rows, 1) if one is row), None)
        if base in entry.fields:
            return _cell(ledger, entry.fields[base], source.get(base), part)
    if forms.OWN_FIELD.match(base):
        return document.header.get(base, (row or {}).get(base))
    raise books.Refused(9, f"元数据中标识为{base}的字段不存在")


def _cell(ledger: books.Books, known: forms.Field, value: Any, part: str) -> Any:
    if known.kind != "base" or value is None:
        return value
    if part == "FNumber":
        return value
    key, shown = _reference(ledger, known.target, value)
    return forms.spoken(shown["Name"]) if part == "FName" and shown else key


def spread(form: forms.Form, keys: list[str]) -> Callable[[books.Document], list[dict[str, Any] | None]]:
    """The rows a query sees: one per row of the first entry list that a key names, else one for the header."""
    for entry in form.entries.values():
        wanted = {f"{entry.key}_FEntryID", f"{entry.key}_FSeq", *entry.fields}
        if not entry.single and any(key.partition(".")[0] in wanted for key in keys):
            named = entry.key
            return lambda document: list(document.rows.get(named, [])) or [None]
    return lambda _document: [None]
