"""Personal data as people without need may see it: a phone as 138****8000, a name as 王*, an address by its city.

Works on parsed payloads of any system by what keys are called, and on phone numbers anywhere in text. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PHONE = re.compile(r"(?<![0-9A-Za-z.])((?:\+?86[\- ]?)?1[3-9]\d)\d{4}(\d{4})(?![0-9A-Za-z])")
_EMAIL = re.compile(r"([A-Za-z0-9])[A-Za-z0-9._%+-]*@([A-Za-z0-9.-]+\.[A-Za-z]{2,})")
_PHONE_KEYS = frozenset({"phone", "mobile", "tel", "telephone", "cellphone", "fax"})
_MAIL_KEYS = frozenset({"email", "mail"})
_ADDRESS_KEYS = frozenset({"address", "addr", "street", "town", "detail"})
_SECRET_KEYS = frozenset({"idcard", "certno", "id_card", "tax_number", "taxno"})
_PEOPLE = frozenset(
    {"receiver", "buyer", "consignee", "contact", "contacts", "customer", "recipient", "person", "member", "linkman"}
)
_PERSON = "person!"
_NAMES = frozenset({"name", "nick", "nickname", "fullname", "realname", "linkman", "short"})


def masked(value: Any, key: str = "", inside: Iterable[str] = ()) -> Any:
    """``value`` with personal data shortened; ``key`` and ``inside`` say where it stands."""
    place = frozenset(inside)
    if isinstance(value, Mapping):
        words = _words(key)
        here = (place | words) - {_PERSON}
        own = here | {_PERSON} if _person(value) else here
        return {name: masked(inner, str(name), own) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner, key, place) for inner in value]
    if isinstance(value, str):
        return _text(value, _words(key), place)
    if isinstance(value, int) and not isinstance(value, bool) and 10**10 <= value < 10**13:
        shown = _PHONE.sub(r"\1****\2", str(value))
        return shown if "*" in shown else value
    return value


def _words(key: str) -> frozenset[str]:
    lowered = _CAMEL.sub("_", key).lower()
    parts = frozenset(part for part in re.split(r"[^a-z0-9]+", lowered) if part)
    bare = frozenset(part.removeprefix("f") for part in parts if part.startswith("f"))
    return parts | bare | {lowered.replace("_", "")}


def _person(value: Mapping[Any, Any]) -> bool:
    """An object with a name beside a phone, address or mail describes a person."""
    keys = {re.sub(r"^F(?=[A-Z])", "", str(name)).lower() for name in value}
    keys |= {str(name).lower() for name in value}
    return bool(keys & _NAMES) and bool(keys & (_PHONE_KEYS | _ADDRESS_KEYS | _MAIL_KEYS))


def _text(text: str, words: frozenset[str], place: frozenset[str]) -> str:
    if not text or "*" in text:
        return text
    if words & _PHONE_KEYS:
        return _middle(text)
    if words & _MAIL_KEYS:
        return _EMAIL.sub(r"\1***@\2", text)
    if words & _SECRET_KEYS:
        return _middle(text)
    around = bool(place & (_ADDRESS_KEYS | _PEOPLE)) or _PERSON in place
    if words & _ADDRESS_KEYS and (words & {"address", "addr"} or around):
        return text[:6] + "***" if len(text) > 6 else text[:2] + "***"
    if words & _NAMES and (words & (_PEOPLE | {"nick", "nickname"}) or place & _PEOPLE or _PERSON in place):
        return text[0] + "*" * min(len(text) - 1, 3) if len(text) > 1 else "*"
    if place & {"identities"} and "value" in words:
        return _middle(text)
    return _EMAIL.sub(r"\1***@\2", _PHONE.sub(r"\1****\2", text))


def _middle(text: str) -> str:
    if len(text) < 5:
        return "*" * len(text)
    kept = 3 if len(text) >= 8 else 1
    tail = 4 if len(text) >= 11 else 1
    return text[:kept] + "*" * (len(text) - kept - tail) + text[-tail:]


_BESIDE = frozenset({"remark", "remarks", "memo", "note", "comment", "message", "invoice", "identities", "tags"})


def erased(value: Any, key: str = "", inside: Iterable[str] = ()) -> Any:
    """``value`` without personal data.

    What ``masked`` would shorten is gone, and with it whole descriptions of people and free text beside them; amounts,
    lines, numbers and times stay.
    """
    place = frozenset(inside)
    words = _words(key)
    if words & (_PEOPLE | _PHONE_KEYS | _MAIL_KEYS | _ADDRESS_KEYS | _SECRET_KEYS | _BESIDE):
        return None
    if isinstance(value, Mapping):
        if _person(value):
            return None
        return {name: erased(inner, str(name), place | words) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [erased(inner, key, place) for inner in value]
    return value if masked(value, key, place) == value and "*" not in str(value) else None


_PAIR = re.compile(
    r"""(?P<open>"(?P<json>[^"\\]{1,60})"\s*:\s*")(?P<text>(?:[^"\\]|\\.)*)"""
    r"""|(?P<tag><(?P<xml>[A-Za-z_][\w.:-]{0,60})>\s*(?:<!\[CDATA\[)?)(?P<inner>[^<\]]*)"""
    r"""|(?P<begin>(?:^|[&?])(?P<form>[\w.-]{1,60})=)(?P<value>[^&\s]*)"""
)
_TOLD = _NAMES | _PHONE_KEYS | _MAIL_KEYS | _ADDRESS_KEYS | _SECRET_KEYS | _PEOPLE | _BESIDE


def excerpt(text: str) -> str:
    """The head of a body that nobody could or would read: what stands under a personal name is gone.

    Cut off in the middle, JSON, XML and forms are looked at as text. Stricter than ``masked``: without the whole it is
    not known whose name it is.
    """

    def hidden(found: re.Match[str]) -> str:
        key = found["json"] or found["xml"] or found["form"]
        before = found["open"] or found["tag"] or found["begin"]
        value = found["text"] or found["inner"] or found["value"] or ""
        return f"{before}***" if value.strip() and _words(key) & _TOLD else f"{before}{value}"

    return str(masked(_PAIR.sub(hidden, text)))


def said(value: Any) -> Any:
    """One part of a kept HTTP exchange, masked: JSON by its keys, also after a head; anything else as text."""
    if not isinstance(value, str):
        return value
    head, gap, body = value.rpartition("\n\n")
    try:
        parsed = json.loads(body)
    except ValueError:
        return excerpt(value)
    if not isinstance(parsed, dict | list):
        return masked(value)
    return str(masked(head)) + gap + json.dumps(masked(parsed), ensure_ascii=False)
