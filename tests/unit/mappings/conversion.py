"""One field's codec as a rule would build it, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from mappings import codecs, errors, kinds, paths, spec

TABLES = {
    "status": spec.Table.model_validate(
        {"from": {"WAIT": "created", 7: "paid", "A": "closed", "B": "closed"}, "to": {"closed": "A", "shipped": "SENT"}}
    ),
    "open": spec.Table.model_validate({"from": {"1": "paid"}, "default_from": "created", "default_to": "0"}),
}


def codec(canonical: str, entity: str = "order", **options: Any) -> codecs.Codec:
    rule = spec.Rule.model_validate({"native": "x", "canonical": canonical, **options})
    return codecs.build(rule, kinds.at(kinds.root(entity), paths.parse(canonical)), TABLES)


def refuses(convert: Any, value: Any) -> errors.BadValue:
    with pytest.raises(errors.BadValue) as caught:
        convert(value)
    assert caught.value.zh
    assert caught.value.en
    return caught.value
