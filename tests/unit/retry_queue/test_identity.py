"""What a customer can be known by, and what the rules make of it: pure, without the database."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from retry_queue.ledger import secrets
from retry_queue.sync import draft, identity, route

SEALER = secrets.Sealer("a master key of the tests, long enough")


def customer(**more: Any) -> dict[str, Any]:
    return {"id": "1", "name": "王建国", **more}


def marks(canonical: dict[str, Any], match: route.Match | None = None) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in identity.evidence(SEALER, match or route.Match(), canonical):
        found.setdefault(one.kind, set()).add(one.digest)
    return found


@pytest.mark.parametrize("one", ["13800138000", "+86 138-0013-8000", "86 13800138000", "0086 138 0013 8000"])
def test_a_phone_is_one_in_every_spelling(one: str) -> None:
    assert marks(customer(phone=one))["phone"] == marks(customer(phone="13800138000"))["phone"]
    assert draft.marks(SEALER, {"phone": one}) == draft.marks(SEALER, {"phone": "13800138000"})


def test_other_numbers_stay_as_they_are() -> None:
    assert draft.normal("phone", "861234") == "861234"
    assert draft.normal("phone", "+1 415 555 0100") == "14155550100"
    assert draft.normal("unionid", " o-8-6 ") == "o-8-6"


@pytest.mark.parametrize(("given", "shown"), [
    ("13800138000", "138****8000"), ("138****8000", "138****8000"), ("138 xxxx 8000", "138****8000"),
    ("+86138****8000", "138****8000"), ("021-5555", None), ("****8000", None), ("王*", None),
])  # fmt: skip
def test_a_masked_phone_and_its_original_look_the_same(given: str, shown: str | None) -> None:
    assert identity.masked_phone(given) == shown


def test_a_masked_mail_and_its_original_look_the_same() -> None:
    assert identity.masked_mail("anna@Example.com") == identity.masked_mail("a***@example.com") == "a***@example.com"
    assert identity.masked_mail("nonsense") is None


def test_masked_values_identify_nobody_and_are_weak_evidence() -> None:
    masked, whole = marks(customer(phone="138****8000")), marks(customer(phone="13800138000"))
    assert "phone" not in masked
    assert masked["~masked_phone+name"] == whole["~masked_phone+name"]
    assert "~masked_phone+name" not in marks(customer(phone="138****8000", name="王*"))
    assert list(draft.marks(SEALER, customer(phone="138****8000"))) == []


def test_every_identity_counts_unless_its_kind_has_a_rule() -> None:
    known = customer(identities=[{"kind": "unionid", "value": "u1"}, {"kind": "shop.open_id", "value": "x"}])
    assert set(marks(known)) == {"unionid", "shop.open_id"}
    match = route.Match.model_validate({
        "rules": [{"by": ["identity"], "confidence": 1}, {"by": ["shop.open_id"], "confidence": 0.6}]
    })  # fmt: skip
    sure = {one.kind: one.rule.confidence for one in identity.evidence(SEALER, match, known)}
    assert sure == {"unionid": 1.0, "shop.open_id": 0.6}


def test_what_agrees_in_all_of_several_is_one_mark() -> None:
    match = route.Match.model_validate({"rules": [{"by": ["company", "name"], "confidence": 0.7}]})
    one = marks(customer(company="枢纽茶业"), match)["~company+name"]
    assert one != marks(customer(company="枢纽茶业", name="李"), match)["~company+name"]
    assert marks(customer(), match) == {}


@pytest.mark.parametrize("rules", [
    [{"by": ["name"], "confidence": 0.95}], [{"by": ["masked_phone", "name"], "confidence": 0.9}],
    [{"by": ["phone", "phone"], "confidence": 0.9}], [{"by": ["identity", "name"], "confidence": 0.9}],
    [{"by": [], "confidence": 0.9}], [{"by": ["phone"], "confidence": 1.5}], [{"by": ["phone"]}],
])  # fmt: skip
def test_rules_that_would_join_strangers_are_refused(rules: list[dict[str, Any]]) -> None:
    with pytest.raises(pydantic.ValidationError):
        route.Match.model_validate({"rules": rules})


def test_what_is_asked_for_is_looked_up_under_every_kind() -> None:
    found = dict(identity.asked(SEALER, "13800138000", ["unionid"]))
    assert set(found) == {"unionid", "phone", "email"}
    assert found["phone"] in marks(customer(phone="+8613800138000"))["phone"]
    assert "~masked_phone" in dict(identity.asked(SEALER, "138****8000", []))
    assert "~masked_phone" in dict(identity.shown_marks(SEALER, customer(phone="13800138000")))
