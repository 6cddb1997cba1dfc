"""Every sample through its mapping and back: what the vendor said through an invertible rule is said again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mappings import check, library, spec
from tests.unit.mappings import generated
from tests.unit.mappings import test_roundtrip as roundtrip

quick = settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
BOTH = [key for key in library.names() if library.shipped(*key).reads and library.shipped(*key).writes]


def _samples() -> list[tuple[str, str, spec.Example]]:
    return [
        (connector, name, one)
        for connector, name in BOTH
        for one in library.shipped(connector, name).spec.tests
        if one.way == "from" and one.error is None and one.sample is not None
    ]


@pytest.mark.parametrize(
    ("connector", "name", "example"), _samples(), ids=[f"{a}-{b}-{c.name}" for a, b, c in _samples()]
)
@quick
@given(data=st.data())
def test_a_real_sample_survives_the_way_in_and_out(
    connector: str, name: str, example: spec.Example, data: st.DataObject
) -> None:
    mapping = library.shipped(connector, name)
    native: Any = check.located(check.packaged(connector, str(example.sample)), example.at)
    context = {**generated.context(mapping.spec.rules, mapping.spec.tables), **example.context}
    record = generated.filled(mapping.from_native(native, context), data.draw(generated.records(mapping, full=True)))
    again = mapping.to_native(roundtrip.stored(record), context)
    compared = roundtrip.compare_native(mapping.spec.rules, mapping, generated.owner(mapping), native, again)
    invertible = list(generated.invertible(mapping.spec.rules, mapping, generated.owner(mapping)))
    assert compared or not invertible, "nothing of the sample went through an invertible rule"


@pytest.mark.parametrize(("connector", "name"), BOTH, ids=[f"{a}-{b}" for a, b in BOTH])
def test_every_mapping_that_reads_has_a_test_that_reads(connector: str, name: str) -> None:
    assert [one for one in library.shipped(connector, name).spec.tests if one.way == "from" and one.error is None]


def test_there_are_samples() -> None:
    assert len(_samples()) >= 8
