"""Routes as they are written."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from retry_queue.sync import route


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0s", 0.0), (30, 30.0), ("250ms", 0.25), ("5m", 300.0), ("2h", 7200.0), (" 3 d ", 259200.0), ("1.5h", 5400.0),
     ("7", 7.0)],
)  # fmt: skip
def test_durations(text: Any, expected: float) -> None:
    assert route.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "3w", "-1s", "1h30m", None, True, "abc"])
def test_what_is_no_duration_says_how_to_write_one(text: Any) -> None:
    with pytest.raises(ValueError, match="30s, 5m, 2h or 3d"):
        route.seconds(text)


def spec(**more: Any) -> dict[str, Any]:
    return {
        "key": "order-to-erp",
        "from": {"connection": "shop", "entity": "order"},
        "to": [{"connection": "erp", "operation": "sales_order.save"}],
    } | more


def test_a_route_reads_as_configured() -> None:
    read = route.Route.model_validate(spec(after="3d", order="skip", when='order.status == "paid"'))
    assert (read.source.connection, read.after, read.order) == ("shop", 259200.0, route.Order.SKIP)
    plain = route.Route.model_validate(spec())
    assert (plain.after, plain.order, plain.enabled, plain.when) == (0.0, route.Order.HOLD, True, None)


@pytest.mark.parametrize(
    "wrong",
    [{"to": []}, {"after": "-1s"}, {"after": "400d"}, {"order": "hope"}, {"key": "A B"}, {"then": 1},
     {"from": {"connection": "shop"}}, {"to": [{"connection": "erp"}]}],
)  # fmt: skip
def test_a_wrong_route_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        route.Route.model_validate(spec(**wrong))
