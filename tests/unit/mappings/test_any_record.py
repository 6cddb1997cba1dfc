"""Whatever record comes, it ends in a record or a mapping error; what came in is unchanged, in many threads too."""

from __future__ import annotations

import threading
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mappings import errors, kinds
from tests.unit.mappings import files

_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(max_size=4)
    | st.builds(lambda: 10**5000),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "q", "deep", "p"]), inner, max_size=3)
    ),
    max_leaves=8,
)
_RECORDS = st.dictionaries(
    st.sampled_from(
        ["id", "status", "total", "rows", "created", "kind", "content", "to", "ids", "addr", "tags", "hold"]
    ),
    _JUNK,
)
EVERYTHING = files.mapping(
    files.LINES
    + """
{native: created, canonical: created_at, codec: datetime, format: ["%Y-%m-%d %H:%M:%S", unix_ms], zone: Asia/Shanghai}
{native: kind, canonical: kind, codec: enum, table: kind}
{native: hold, canonical: hold, codec: boolean}
{native: content, canonical: extra, codec: json}
{native: addr, canonical: receiver.address, codec: address, style: joined, when_absent: true}
{native: 'ids[id=q].p', canonical: 'buyer.identities[kind=x].value'}
{native: tags, canonical: seller_note, codec: join, by: ","}
{native: x, expr: 'lines.map(l, l.quantity * total) + [kind]', way: to}
{canonical: number, expr: 'string(total) + kind', when: 'size(rows) > 0', way: from}
native: to
  canonical: receiver
  inside:
    - {native: p, canonical: phone}
""",
    "tables: {kind: {from: {a: b}}}",
)


def told(error: errors.MappingError) -> None:
    """An error can be shown, in both languages."""
    assert len(str(error)) < 2000
    assert error.text("zh") != error.text("en")


@given(_RECORDS | _JUNK)
@settings(max_examples=600, deadline=None)
def test_any_native_record_ends_in_a_record_or_a_mapping_error(native: Any) -> None:
    try:
        found = EVERYTHING.from_native(native)
    except errors.MappingError as error:
        told(error)
        return
    EVERYTHING.model.model_validate(found)


@given(st.dictionaries(st.sampled_from(sorted(kinds.fields(EVERYTHING.model))), _JUNK) | _JUNK)
@settings(max_examples=600, deadline=None)
def test_any_canonical_record_ends_in_a_record_or_a_mapping_error(record: Any) -> None:
    try:
        EVERYTHING.to_native(record)
    except errors.MappingError as error:
        told(error)


def test_input_is_never_changed() -> None:
    native = {**files.ORDER, "rows": [{"id": "1", "q": 1}], "content": {"a": [1]}, "to": {"p": "1"}}
    before = repr(native)
    found = EVERYTHING.from_native(native)
    assert repr(native) == before
    found["extra"]["a"].append(2)
    assert repr(native) == before
    before = repr(found)
    EVERYTHING.to_native(found)
    assert repr(found) == before


def test_one_mapping_serves_many_threads() -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        for _ in range(200):
            found = EVERYTHING.from_native({**files.ORDER, "id": number, "rows": [{"id": number, "q": number}]})
            if found["id"] != str(number) or found["lines"][0]["quantity"] != number:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
