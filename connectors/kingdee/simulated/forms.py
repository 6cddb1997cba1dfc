"""What the pretend site knows of its forms: reading Save keys, writing View properties.

Save and queries speak F-keys (``FCustId``), View speaks property names (``CustId``); both come from
``forms.yaml``. Unknown keys are ignored by Save, except keys of a customer's own fields (``F_ABCD_Text``),
which every site accepts once they are drawn on the form and which keep their name in View.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml

ZONE = timezone(timedelta(hours=8))
"""Sites keep naive Beijing time."""
OWN_FIELD = re.compile(r"^F_[A-Za-z0-9]+_\w+$")
OLD_DATE = re.compile(r"^/Date\((-?\d+)\)/$")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its Save key, its View property, and what kind of value it holds."""

    key: str
    name: str
    kind: str
    target: str | None
    label: str
    required: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A list of rows below the header; ``single`` ones are sent as an object and shown as a list of one."""

    key: str
    name: str
    fields: dict[str, Field]
    single: bool
    main: bool
    quantity: str | None


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of document or master data."""

    id: str
    label: str
    id_key: str
    number_key: str
    prefix: str
    effect: str
    basedata: bool
    modified: str
    fields: dict[str, Field]
    entries: dict[str, Entry]

    @property
    def main(self) -> Entry | None:
        """The entry whose rows are goods with a quantity and a price."""
        return next((entry for entry in self.entries.values() if entry.main), None)


def _fields(spec: dict[str, Any]) -> dict[str, Field]:
    return {
        key: Field(
            key, field["as"], field["kind"], field.get("of"), field.get("label", key), field.get("required", False)
        )
        for key, field in spec.items()
    }


@functools.cache
def all_forms() -> dict[str, Form]:
    """Every form of the site, by form id."""
    text = importlib.resources.files(__package__).joinpath("forms.yaml").read_text("utf-8")
    found: dict[str, Form] = {}
    for form_id, spec in yaml.safe_load(text).items():
        entries = {
            key: Entry(
                key,
                entry["as"],
                _fields(entry["fields"]),
                entry.get("single", False),
                entry.get("main", False),
                entry.get("quantity"),
            )
            for key, entry in spec["entries"].items()
        }
        found[form_id] = Form(
            form_id,
            spec["label"],
            spec["id"],
            spec["number"],
            spec["prefix"],
            spec.get("effect", "document"),
            spec.get("basedata", False),
            spec["modified"],
            _fields(spec["fields"]),
            entries,
        )
    return found


def reference(value: Any) -> str | None:
    """The number in ``{"FNumber": "100"}``; the key's case varies in practice. None when empty."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key.upper() in {"FNUMBER", "NUMBER"}:
                return str(inner) if inner not in (None, "") else None
        return None
    return str(value) if value not in (None, "") else None


def amount(value: Any) -> Decimal:
    """A number as sent: JSON number or text. Raises ValueError."""
    try:
        return Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError(f"not a number: {value}") from error


def moment(value: Any) -> datetime:
    """A naive local time in any of the three spellings the site takes. Raises ValueError."""
    return _moment(str(value))


@functools.lru_cache(1024)  # a query compares every row with the same few
def _moment(text: str) -> datetime:
    old = OLD_DATE.match(text)
    if old:
        return datetime.fromtimestamp(int(old[1]) / 1000, tz=ZONE).replace(tzinfo=None)
    return datetime.fromisoformat(text)


def read(field: Field, value: Any) -> Any:
    """A sent value as the site keeps it: references as numbers, amounts exact. Raises ValueError."""
    if value is None:
        return None
    match field.kind:
        case "base":
            return reference(value)
        case "number":
            return amount(value)
        case "integer":
            return int(amount(value))
        case "flag":
            return value if isinstance(value, bool) else str(value).lower() == "true"
        case "date":
            return moment(value) if value != "" else None
        case "lang":
            return spoken(value)
        case _:
            return str(value)


def spoken(value: Any, lcid: int = 2052) -> str:
    """A text that may be given per language (``[{"Key": 2052, "Value": "…"}]``)."""
    if isinstance(value, list):
        said = {int(item["Key"]): str(item["Value"]) for item in value}
        return said.get(lcid) or next(iter(said.values()), "")
    return str(value)


def stamp(value: datetime) -> str:
    """A time as JSON answers carry it: milliseconds only when there are any."""
    text = value.isoformat(timespec="milliseconds")
    return text.removesuffix(".000")


def plain(value: Any) -> Any:
    """A kept value as a query cell."""
    if isinstance(value, Decimal):
        return float(value)
    return stamp(value) if isinstance(value, datetime) else value


def per_language(text: str | None) -> list[dict[str, Any]]:
    return [] if text is None else [{"Key": 2052, "Value": text}]
