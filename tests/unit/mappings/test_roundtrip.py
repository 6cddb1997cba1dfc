"""Every shipped mapping, on made-up records and on samples: what is invertible comes back the same."""

from __future__ import annotations

import copy
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mappings import check, engine, library, paths, spec
from tests.unit.mappings import generated

KITCHEN = Path(__file__).with_name("kitchen_sink.yaml")
SHIPPED = [f"{connector}/{name}" for connector, name in library.names()]
NAMES = ["kitchen_sink", *SHIPPED]

quick = settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def mapping_of(name: str) -> engine.Mapping:
    if name == "kitchen_sink":
        return library.parse(KITCHEN.read_text(encoding="utf-8"), KITCHEN.name)
    return library.shipped(*name.split("/"))


def both_ways(name: str) -> bool:
    mapping = mapping_of(name)
    return mapping.reads and mapping.writes


BOTH = [name for name in NAMES if both_ways(name)]


def stored(record: Any) -> Any:
    """A canonical record as the ledger gives it back: through JSON text."""

    def text(value: Any) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    return json.loads(json.dumps(record, default=text), parse_float=Decimal)


def decimal_only(value: Any) -> str:
    assert type(value) is Decimal, f"{type(value)} is not JSON data"
    return str(value)


def compare_canonical(rules: list[spec.Rule], mapping: engine.Mapping, above: Any, before: Any, after: Any) -> int:
    """Asserts that every invertible field survived; answers how many were compared."""
    count = 0
    for field in generated.invertible(rules, mapping, above):
        value = field.canonical(before)
        if value is not None:
            assert generated.plain(field.canonical(after)) == generated.plain(value), field.rule
            count += 1
    for rule, inner, kind in generated.nested(rules, above):
        get = paths.getter(paths.parse(rule.canonical or "."))
        old, new = get(before), get(after)
        if rule.inside is not None:
            count += compare_canonical(inner, mapping, kind, old or {}, new or {})
        elif isinstance(old, list) and old:
            assert isinstance(new, list)
            assert len(new) == len(old), rule
            count += sum(compare_canonical(inner, mapping, kind, a, b) for a, b in zip(old, new, strict=True))
    return count


def opened(value: Any, rule: spec.Rule) -> Any:
    return (
        json.loads(value, parse_float=Decimal) if rule.codec == "json" and isinstance(value, str) and value else value
    )


def compare_native(rules: list[spec.Rule], mapping: engine.Mapping, above: Any, before: Any, after: Any) -> int:
    """The same from the vendor's side: what x said through an invertible rule, to_native(from_native(x)) says."""
    count = 0
    for field in generated.invertible(rules, mapping, above):
        meaning = field.decoded(before)
        if meaning is not None:
            assert field.decoded(after) == meaning, field.rule
            count += 1
    for rule, inner, kind in generated.nested(rules, above):
        get = paths.getter(paths.parse(rule.native or "."))
        old, new = opened(get(before), rule), opened(get(after), rule)
        if rule.inside is not None:
            count += compare_native(inner, mapping, kind, old or {}, new or {})
        elif isinstance(old, list) and old:
            assert isinstance(new, list)
            assert len(new) == len(old), rule
            count += sum(compare_native(inner, mapping, kind, a, b) for a, b in zip(old, new, strict=True))
    return count


@pytest.mark.parametrize("name", BOTH)
@quick
@given(data=st.data())
def test_canonical_survives_the_way_out_and_back(name: str, data: st.DataObject) -> None:
    mapping = mapping_of(name)
    context = generated.context(mapping.spec.rules, mapping.spec.tables)
    record = data.draw(generated.records(mapping))
    native = mapping.to_native(stored(record), context)
    assert json.dumps(native, allow_nan=False, default=decimal_only), "native records are JSON data"
    full = data.draw(generated.completed(mapping, copy.deepcopy(native)))
    back = mapping.from_native(full, context)
    compare_canonical(mapping.spec.rules, mapping, generated.owner(mapping), record, back)


@pytest.mark.parametrize("name", BOTH)
@quick
@given(data=st.data())
def test_native_survives_the_way_in_and_out(name: str, data: st.DataObject) -> None:
    mapping = mapping_of(name)
    context = generated.context(mapping.spec.rules, mapping.spec.tables)
    native = mapping.to_native(data.draw(generated.records(mapping)), context)
    native = data.draw(generated.completed(mapping, copy.deepcopy(native)))
    again = mapping.to_native(stored(mapping.from_native(native, context)), context)
    compare_native(mapping.spec.rules, mapping, generated.owner(mapping), native, again)


def samples() -> list[Any]:
    """Every record that a test inside a mapping file reads."""
    return [
        pytest.param(name, example, id=f"{name}-{example.name}")
        for name in BOTH
        for example in mapping_of(name).spec.tests
        if example.way == "from" and example.error is None
    ]


@pytest.mark.parametrize(("name", "example"), samples())
@settings(quick, max_examples=3)
@given(data=st.data())
def test_samples_survive_the_way_in_and_out(name: str, example: spec.Example, data: st.DataObject) -> None:
    """What a sample leaves out and writing needs is made up; what it says must be said again."""
    mapping = mapping_of(name)
    native = example.given
    if example.sample is not None:
        native = check.located(check.packaged(mapping.spec.connector, example.sample), example.at)
    made_up = generated.context(mapping.spec.rules, mapping.spec.tables)
    record = mapping.from_native(native, {**made_up, **example.context})
    record = generated.filled(record, data.draw(generated.records(mapping, full=True)))
    again = mapping.to_native(stored(record), {**made_up, **example.context})
    compare_native(mapping.spec.rules, mapping, generated.owner(mapping), native, again)


def test_there_is_something_to_compare() -> None:
    mapping = mapping_of("kitchen_sink")
    fields = list(generated.invertible(mapping.spec.rules, mapping, generated.owner(mapping)))
    assert len(fields) >= 18
    assert len(list(generated.nested(mapping.spec.rules, generated.owner(mapping)))) == 3
    example = mapping.spec.tests[0].given
    again = mapping.to_native(mapping.from_native(example))
    assert compare_native(mapping.spec.rules, mapping, generated.owner(mapping), example, again) >= 15


def test_a_mapping_that_loses_is_noticed() -> None:
    text = KITCHEN.read_text(encoding="utf-8").replace(
        "canonical: seller_note, absent", "canonical: seller_note, way: to, absent"
    )
    lossy = library.parse(text, "lossy.yaml")
    mapping = mapping_of("kitchen_sink")
    record = {"id": "1", "number": "2", "status": "paid", "total": Decimal(1), "seller_note": "n"}
    with pytest.raises(AssertionError):
        compare_canonical(
            mapping.spec.rules, mapping, generated.owner(mapping), record, lossy.from_native(lossy.to_native(record))
        )
