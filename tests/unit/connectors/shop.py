"""A small shop to call: reads, lists, writes with a lookup, forms and notes."""

from __future__ import annotations

import pytest

from connectors.core import errors
from tests.unit.connectors.conftest import declared

SPEC = declared(
    """
errors:
  - {match: ["7"], becomes: banned, retry_after: 60}
  - {match: ["8"], becomes: throttled, retry_after: 3}
  - {match: ["-1"], becomes: unavailable}
  - {match: ["dup"], becomes: done}
  - {match: ["9"], becomes: rejected, hint: {zh: 不行, en: no}}
probe: order.get
operations:
  order.get:
    label: {zh: 查, en: get}
    kind: get
    method: GET
    path: /orders/${input.id}
    query: {fields: "a,b", none: "${input.nope}", shade: "${config.shade}"}
    found: {path: body.order, present: true}
    result: order
    id: no
    timeout: 0.5
  order.list:
    label: {zh: 列, en: list}
    kind: list
    method: GET
    path: /orders
    query: {page: "${page.no}", size: "${page.size}", start: "${window.start|local}"}
    items: rows
    id: no
    paging: {style: page, size: 2, total: total}
  order.save:
    label: {zh: 存, en: save}
    kind: write
    path: /save
    json: {no: "${input.no}", total: "${input.total}", left_out: "${input.nope}", nothing: "${input.none}"}
    defaults: {none: null}
    id_input: no
    idempotent: query_first
    lookup: order.get
    confirm: {path: result.total, equals: "${input.total}"}
    partial: [{path: bad, label: {zh: 无效, en: invalid}}]
    timeout: 0.5
  order.tell:
    label: {zh: 告知, en: tell}
    kind: act
    path: /tell
    json: {to: "${input.to}"}
    asked: [to]
    partial:
      - {path: bad, label: {zh: 无效, en: invalid}}
      - {path: later, later: true, label: {zh: 太多, en: too many}}
  order.form:
    label: {zh: 表, en: form}
    kind: write
    path: /form
    form: {b: "${input.b}", a: 1, on: true, tree: "${input.tree}", gone: "${input.nope}"}
  note.send: {label: {zh: 发, en: send}, kind: act, path: /note, text: "hi ${input.who}"}
  put: {label: {zh: 放, en: put}, kind: write, method: PUT, path: /put}
"""
)


async def failing(calls, shop, operation="order.save", given=None, **more):
    with pytest.raises(errors.ConnectorError) as caught:
        await calls.call(shop, operation, {"no": "A1", "id": "A1"} if given is None else given, **more)
    return caught.value
