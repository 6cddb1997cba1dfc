"""Whatever comes through a verified door, the decoder answers with events or Malformed, for every source."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.core import decode, jsontext, model
from tests.conformance import ruling

SOURCES = [(id, key) for id in ruling.IDS for key in ruling.folder(id).spec.events]
every_source = pytest.mark.parametrize(("id", "source"), SOURCES, ids=[f"{a}-{b}" for a, b in SOURCES])
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.decimals(allow_nan=False, places=3)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def _names(id: str) -> list[str]:
    """The keys that this connector's messages look at, so that the made-up trees meet the real paths."""
    found: set[str] = set()
    for message in ruling.folder(id).spec.messages.values():
        paths = [message.record, message.time, message.body, *message.dedupe, *message.unpack]
        conditions = [message.match] if message.match else []
        for one in conditions:
            paths.append(one.path)
            conditions += [*one.all, *one.any]
        found |= {step for path in paths if path and "$" not in path for step in path.split(".") if step}
    return sorted(found) or ["id"]


def _values(id: str) -> list[Any]:
    """The values that this connector's messages are told apart by."""
    found: list[Any] = []
    for message in ruling.folder(id).spec.messages.values():
        conditions = [message.match] if message.match else []
        for one in conditions:
            found += [one.equals, *(one.one_of or []), (one.matches or "").replace("*", "x").replace("?", "x")]
            conditions += [*one.all, *one.any]
    return [one for one in found if one is not None] or [""]


def near(id: str) -> st.SearchStrategy[Any]:
    """Objects close to real ones: the right keys and values in wrong combinations and places."""
    leaves = st.sampled_from(_values(id)) | SCALARS | st.sampled_from(["{}", "[1]", '{"a": 1}', "{", "1" * 400])
    keys = st.sampled_from(_names(id)) | st.text(max_size=4)
    objects = st.recursive(
        leaves, lambda inner: st.dictionaries(keys, inner, max_size=6) | st.lists(inner, max_size=3), max_leaves=20
    )
    return st.dictionaries(keys, objects, max_size=8)


def _settled(id: str, events: list[model.SourceEvent]) -> None:
    """What an event is, whatever it was made of."""
    spec = ruling.folder(id).spec
    for event in events:
        assert event.message == decode.UNKNOWN or event.message in spec.messages
        assert event.dedupe
        assert len(event.dedupe) < 400
        assert event.occurred_at is None or event.occurred_at.tzinfo is not None
        jsontext.loads(event.payload)
        if event.message != decode.UNKNOWN:
            decode.native(event.payload, decode.named(spec, spec.messages[event.message]))


def _taken(id: str, source: str, body: bytes) -> None:
    try:
        found = decode.events(ruling.folder(id).spec, source, body)
    except decode.Malformed:
        return
    _settled(id, found)


@every_source
@quick
@given(data=st.data())
def test_any_bytes_are_events_or_malformed(id: str, source: str, data: st.DataObject) -> None:
    noise = st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))
    _taken(id, source, data.draw(noise))


@every_source
@quick
@given(data=st.data())
def test_any_tree_is_events_or_malformed(id: str, source: str, data: st.DataObject) -> None:
    tree = data.draw(near(id) | TREES)
    with contextlib.suppress(decode.Malformed):
        _settled(id, [decode.event(ruling.folder(id).spec, source, tree)])
    try:
        written = jsontext.dumps(tree)
    except jsontext.JsonError:
        return
    _taken(id, source, written)


@every_source
@quick
@given(data=st.data())
def test_a_damaged_sample_is_events_or_malformed(id: str, source: str, data: st.DataObject) -> None:
    """Real messages with a piece cut out, doubled or changed."""
    samples = [raw for name, raw in ruling.folder(id).samples.items() if ".event." in name or name.startswith("hook.")]
    raw = data.draw(st.sampled_from(samples or [*ruling.folder(id).samples.values()]))
    begin, size = data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, 12))
    _taken(id, source, raw[:begin] + data.draw(st.binary(max_size=6)) + raw[begin + size :])
