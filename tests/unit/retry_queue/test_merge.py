"""Merging: one value per field counts, by policy, whatever the order things happen in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retry_queue.sync import echo, merge, route

PATHS = ("name", "phone", "address.city", "lines.sku", "lines.quantity")
NEWEST = route.EntityRule(conflicts="newest")


def source(key: str, at: float, **more: Any) -> merge.Source:
    return merge.Source(connection=key, record=f"{key}-1", at=at, **more)


def held(value: Any, key: str = "crm", at: float = 100.0, **more: Any) -> merge.Field:
    return {"value": value, "at": at, "from": key, "record": f"{key}-1", **more}


def wrote(**fields: Any) -> dict[str, str]:
    return {path.replace("__", "."): echo.digest(value) for path, value in fields.items()}


def test_a_list_of_records_is_one_field() -> None:
    canonical = {"name": "A", "lines": [{"sku": "X", "quantity": "1"}], "address": {"city": "厦门"}}
    assert merge.atoms(canonical, PATHS) == {
        "name": "A",
        "address.city": "厦门",
        "lines": [{"sku": "X", "quantity": "1"}],
    }
    assert merge.atoms({"address": None}, PATHS) == {}


def test_only_what_changed_is_claimed() -> None:
    seen = source("crm", 10, before={"name": "A", "phone": "1", "address": {"city": "x"}})
    assert merge.claims({"name": "B", "phone": "1"}, PATHS, seen, {}) == {"name": "B"}
    assert merge.claims({"name": "B", "phone": ""}, PATHS, source("crm", 10), {}) == {"name": "B"}
    assert merge.claims({"name": ""}, PATHS, seen, {}) == {"name": ""}, "emptied by somebody"


def test_our_own_write_is_no_claim_also_in_the_vendors_spelling() -> None:
    fields = {"phone": held("13800000001"), "name": held("ACME Ltd. a name that is longer than the column")}
    after = source("erp", 105, wrote=wrote(phone="13800000001", name=fields["name"]["value"]), wrote_at=104.0)
    assert merge.claims({"phone": "13800000001"}, PATHS, after, fields) == {}
    assert merge.claims({"phone": "+86 138-0000-0001"}, PATHS, after, fields) == {}
    assert merge.claims({"name": "acme ltd. a name that is longer"}, PATHS, after, fields) == {}
    assert merge.claims({"phone": "13900000002"}, PATHS, after, fields) == {"phone": "13900000002"}
    late = source("erp", 900, wrote=after.wrote, wrote_at=104.0)
    assert merge.claims({"phone": "+86 138-0000-0001"}, PATHS, late, fields) != {}, "by then somebody did it"


def test_stars_never_replace_what_is_behind_them() -> None:
    fields = {"phone": held("13800000001")}
    assert merge.claims({"phone": "138****0001"}, PATHS, source("shop", 200), fields) == {}
    assert merge.applied({"phone": "138****0001"}, fields, exists=True) == {"phone": "13800000001"}
    kept = merge.applied({"phone": "13800000001"}, {"phone": held("138****0001")}, exists=True)
    assert kept == {"phone": "13800000001"}


def test_a_change_made_in_knowledge_of_what_holds_takes_whatever_the_clocks_say() -> None:
    said = merge.judge(
        {"name": held("A", "crm", 100)}, {"name": "B"}, source("erp", 90, wrote=wrote(name="A"), wrote_at=50.0), NEWEST
    )
    assert said.fields["name"]["value"] == "B"
    assert not said.disputes
    assert not said.restore


def test_of_two_changes_at_once_the_newer_holds_and_the_loser_is_written_back() -> None:
    older = merge.judge({"name": held("A", "crm", 100)}, {"name": "B"}, source("erp", 90), NEWEST)
    assert older.fields["name"]["value"] == "A"
    assert older.restore
    assert [(one.path, one.winner) for one in older.disputes] == [("name", "crm")]
    newer = merge.judge({"name": held("A", "crm", 100)}, {"name": "B"}, source("erp", 110), NEWEST)
    assert newer.fields["name"]["value"] == "B"
    assert newer.disputes[0].winner == "erp"


def test_a_change_that_our_write_may_have_crossed_is_written_back() -> None:
    said = merge.judge(
        {"name": held("A", "crm", 100)},
        {"name": "B"},
        source("erp", 101, wrote=wrote(name="A"), wrote_at=101.5),
        NEWEST,
    )
    assert said.fields["name"]["value"] == "B"
    assert said.restore, "their record may hold A, which we wrote after their edit"
    reread = source("erp", 101, wrote=wrote(name="A"), wrote_at=101.5, reread=True)
    assert not merge.judge({"name": held("A", "crm", 100)}, {"name": "B"}, reread, NEWEST).restore


@pytest.mark.parametrize(("claimant", "takes"), [("crm", True), ("erp", False)])
def test_the_owners_word_counts(claimant: str, takes: bool) -> None:
    rule = route.EntityRule(owners={"address": "crm"})
    said = merge.judge({"address.city": held("x", "crm", 1)}, {"address.city": "y"}, source(claimant, 500), rule)
    assert (said.fields["address.city"]["value"] == "y") is takes
    assert said.restore is not takes
    free = merge.judge({}, {"address.city": "y"}, source(claimant, 500), rule)
    assert free.fields["address.city"]["value"] == "y", "the owner has said nothing yet"


def test_rank_decides_only_between_changes_made_at_once() -> None:
    rule = route.EntityRule(conflicts="rank", rank=["erp", "crm"])
    at_once = merge.judge({"name": held("A", "erp", 100)}, {"name": "B"}, source("crm", 110), rule)
    assert at_once.fields["name"]["value"] == "A"
    after = source("crm", 110, wrote=wrote(name="A"), wrote_at=101.0)
    assert merge.judge({"name": held("A", "erp", 100)}, {"name": "B"}, after, rule).fields["name"]["value"] == "B"


def test_a_person_decides_and_until_then_both_keep_their_own() -> None:
    rule = route.EntityRule(conflicts="manual")
    fields = {"name": held("A", "crm", 100), "phone": held("1", "crm", 100)}
    said = merge.judge(fields, {"name": "B"}, source("erp", 110), rule)
    assert said.disputes[0].winner is None
    assert not said.restore
    assert merge.applied({"name": "A", "phone": "0"}, said.fields, exists=True) == {"phone": "1"}
    own = merge.applied({"name": "A"}, said.fields, exists=True, own={"name": "B"})
    assert own["name"] == "B", "a system that must be given a name gets its own"
    assert merge.applied({"name": "A"}, said.fields, exists=False)["name"] == "A", "a new record needs some name"
    again = merge.judge(said.fields, {"name": "C"}, source("crm", 120), rule)
    assert again.fields["name"]["other"]["value"] == "B", "still open, with the newer value of the one side"
    agreed = merge.judge(again.fields, {"name": "C"}, source("erp", 130), rule)
    assert agreed.settled == ("name",)
    assert "other" not in agreed.fields["name"]
    also = merge.judge(again.fields, {"name": "B"}, source("crm", 130), rule)
    assert also.settled == ("name",)


def test_a_write_that_changed_nothing_in_a_field_puts_no_dispute_about_it() -> None:
    """A name was written over there, and with it the phone as it had long been; an edit of the phone crossed."""
    rule = route.EntityRule(conflicts="manual")
    had = {"before": {"name": "first", "phone": "1"}, "before_at": 105.0}
    ours = {"wrote": wrote(name="mine", phone="1"), "wrote_at": 111.0}
    fields = {"name": held("mine", "one", 109), "phone": held("1", "one", 100)}
    said = merge.judge(fields, {"name": "yours", "phone": "2"}, source("two", 110, **had, **ours), rule)
    assert [one.path for one in said.disputes] == ["name"]
    assert said.fields["phone"]["value"] == "2"
    assert said.restore, "our write went over it"
    given_since = {**fields, "phone": held("1", "one", 109)}
    said = merge.judge(given_since, {"phone": "2"}, source("two", 110, **had, **ours), rule)
    assert [one.path for one in said.disputes] == ["phone"], "it had been something else in between"


def test_an_edit_in_dispute_is_not_lost_to_a_write_of_ours_that_went_over_it() -> None:
    """What that system told last was our own write coming back; it was taken for the system's own word."""
    rule = route.EntityRule(conflicts="manual")
    said = merge.judge({"name": held("mine", "one", 100)}, {"name": "yours"}, source("two", 110), rule)
    there = merge.applied({"name": "mine"}, said.fields, exists=True, own={"name": "first"}, target="two")
    here = merge.applied({"name": "mine"}, said.fields, exists=True, own={"name": "first"}, target="one")
    third = merge.applied({"name": "mine"}, said.fields, exists=True, own={"name": "first"}, target="three")
    assert (here["name"], there["name"], third["name"]) == ("mine", "yours", "first")


def test_merged_records_of_one_thing_keep_the_newer_values() -> None:
    one = {"name": held("A", "crm", 100), "phone": held("1", "crm", 100)}
    other = {"name": held("B", "erp", 200)}
    assert merge.combined(one, other)["name"]["value"] == "B"
    assert merge.combined(other, one)["name"]["value"] == "B"


class System:
    """A system with one record: people edit it, we write it, it tells every change with what it held then."""

    def __init__(self, key: str) -> None:
        self.key, self.value, self.version = key, "", 0.0
        self.told: list[tuple[float, str]] = []
        self.wrote: dict[str, str] = {}
        self.wrote_at: float | None = None
        self.before: dict[str, Any] | None = None
        self.before_at: float | None = None

    def set(self, value: str, at: float) -> None:
        if value != self.value:
            self.value, self.version = value, at
            self.told.append((at, value))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["edit", "tell", "send"]), st.integers(0, 2), st.integers(0, 5)), max_size=60),
    st.sampled_from([None, "rank", "newest"]),
)
def test_every_order_of_edits_pushes_and_writes_ends_with_equal_systems(
    script: list[tuple[str, int, int]], policy: Any
) -> None:
    """The hub in a few lines: events are told in any interleaving with edits and writes, some of which cross."""
    rule = route.EntityRule(conflicts=policy, rank=["s1", "s0"])
    systems = [System(f"s{n}") for n in range(3)]
    fields: merge.Fields = {}
    owed: list[int] = []
    clock = 0.0

    def tell(one: System) -> None:
        nonlocal fields
        at, value = one.told.pop(0)
        if one.wrote.get("name") != echo.digest(value) or echo.heard_since(one.before_at, one.wrote_at):
            seen = merge.Source(one.key, "r", at, one.before, one.before_at, one.wrote, one.wrote_at)
            said = merge.judge(fields, merge.claims({"name": value}, ("name",), seen, fields), seen, rule)
            fields = said.fields
            owed.extend(n for n, other in enumerate(systems) if other is not one or said.restore)
        one.before, one.before_at = {"name": value}, at

    def send(target: int) -> None:
        one = systems[target]
        value = merge.applied({}, fields, exists=True)["name"]
        one.set(value, clock)
        one.wrote, one.wrote_at = {"name": echo.digest(value)}, clock

    for act, which, value in script:
        clock += 1.5
        one = systems[which]
        if act == "edit":
            one.set(f"v{value}", clock)
        elif act == "tell" and one.told:
            tell(one)
        elif act == "send" and owed:
            send(owed.pop(value % len(owed)))
    for _ in range(200):
        clock += 1.5
        waiting = [one for one in systems if one.told]
        if waiting:
            tell(waiting[0])
        elif owed:
            send(owed.pop(0))
        else:
            break
    else:
        pytest.fail("never quiet")
    if fields:
        assert {one.value for one in systems} == {fields["name"]["value"]}
