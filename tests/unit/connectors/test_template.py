from datetime import UTC, datetime
from decimal import Decimal

import pytest

from connectors.core import declaration, template

SHANGHAI = declaration.TimeFormat(format="%Y-%m-%d %H:%M:%S", zone="Asia/Shanghai")
SCOPE = {
    "input": {"id": 4171301100123456789, "price": Decimal("1.10"), "tags": ["a", "b"], "none": None, "on": True},
    "now": 1700000000.5,
    "time": SHANGHAI,
    "window": {"start": datetime(2026, 1, 1, tzinfo=UTC), "end": datetime(2026, 1, 2, tzinfo=UTC)},
    "token": "tok",
    "token_extra": {"ASP.NET_SessionId": "sess"},
}


def test_one_placeholder_keeps_the_type():
    assert template.render("${input.id}", SCOPE) == 4171301100123456789
    assert template.render("${input.price}", SCOPE) == Decimal("1.10")
    assert template.render("${input.tags}", SCOPE) == ["a", "b"]
    assert template.render("${input.on}", SCOPE) is True


def test_inside_text_it_is_written_out():
    assert template.render("id=${input.id}&p=${input.price} ${input.on} ${input.tags}", SCOPE) == (
        'id=4171301100123456789&p=1.10 true ["a","b"]'
    )


def test_absent_is_left_out_but_null_stays():
    node = {"a": "${input.nope}", "b": "x${input.nope}", "c": "${input.none}", "d": ["${input.nope}", 1], "e": {}}
    assert template.render(node, SCOPE) == {"c": None, "d": [1], "e": {}}
    assert template.render("${input.nope}", SCOPE) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${now|s}", 1700000000),
        ("${now|ms}", 1700000000500),
        ("${now|iso}", "2023-11-14T22:13:20.500000+00:00"),
        ("${now|local}", "2023-11-15 06:13:20"),
        ("${window.start|local}", "2026-01-01 08:00:00"),
        ("${window.end|ms}", 1767312000000),
        ("${input.tags|json}", '["a","b"]'),
        ("${input.price|json}", "1.10"),
        ("${input.id|str}", "4171301100123456789"),
        ("${input.on|int}", 1),
        ("${input.tags|json|url}", "%5B%22a%22%2C%22b%22%5D"),
        ("${token}", "tok"),
        ('${token["ASP.NET_SessionId"]}', "sess"),
    ],
)
def test_filters(text, value):
    assert template.render(text, SCOPE) == value


def test_a_naive_time_is_of_the_declared_zone():
    assert template.render("${t|s}", {"t": "2026-01-01 08:00:00", "time": SHANGHAI}) == 1767225600


@pytest.mark.parametrize("text", ["${input.id|nope}", "${|s}", "${[0].a}"])
def test_placeholders_nobody_can_read_are_named(text):
    with pytest.raises(template.TemplateError, match="placeholder"):
        template.compiled(text)


def test_a_failing_filter_does_not_show_the_value():
    with pytest.raises(template.TemplateError) as caught:
        template.render("${secret.key|int}", {"secret": {"key": "hunter2-hunter2"}})
    assert "hunter2" not in str(caught.value)


def test_constant_nodes_are_returned_as_they_are():
    node = {"a": [1, {"b": "plain $x {y}"}]}
    assert template.render(node, {}) is node
    assert template.names({"a": ["${x.y|s} ${z}"]}) == {"x.y", "z"}
