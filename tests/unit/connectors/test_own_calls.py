"""What a site's own declaration can say, said to a real peer that checks it with code of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks

from connectors.core import client, errors, model
from connectors.core.own import curl, openapi, source
from tests.unit.connectors.conftest import Answer, Peer, Seen, answer

SECRET = "s3cret-of-the-office"
HEAD = """\
apiVersion: shuniu/api/v1
id: office
label: 前台
time: {format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
success: {path: body.code, equals: 0}
"""


def opened(text: str, url: str, **config: Any) -> model.Connection:
    spec = source.compiled(text)
    secrets = {one.key: config.pop(one.key, SECRET) for one in spec.fields if one.secret}
    return model.Connection("office", spec, {"base_url": url, **config}, secrets)


def said(**parts: Any) -> str:
    operations = {"ping": {"kind": "get", "path": "/ping"}, "save": {"kind": "write", "path": "/save"}}
    return HEAD + source.written({"operations": operations, **parts})


# --- who calls -------------------------------------------------------------------------------------


def _basic(seen: Seen) -> bool:
    return seen.headers.get("authorization") == "Basic " + base64.b64encode(f"admin:{SECRET}".encode()).decode()


@pytest.mark.parametrize(("style", "proof"), [
    ({"style": "api_key", "name": "X-Office-Key"}, lambda seen: seen.headers.get("x-office-key") == SECRET),
    ({"style": "api_key", "name": "Authorization", "prefix": "Token "},
     lambda seen: seen.headers.get("authorization") == f"Token {SECRET}"),
    ({"style": "api_key", "name": "key", "place": "query"}, lambda seen: seen.query.get("key") == SECRET),
    ({"style": "bearer"}, lambda seen: seen.headers.get("authorization") == f"Bearer {SECRET}"),
    ({"style": "basic"}, _basic),
])  # fmt: skip
async def test_every_plain_credential_is_carried_and_shown_nowhere(
    peer: Peer, calls: client.Client, style: dict[str, str], proof: Callable[[Seen], bool]
) -> None:
    peer.decide = lambda seen: answer({"code": 0} if proof(seen) else {"code": 401})
    outcome = await calls.call(opened(said(auth=[style]), peer.url, user="admin"), "ping", {})
    assert SECRET not in repr(outcome.exchanges)
    assert base64.b64encode(f"admin:{SECRET}".encode()).decode() not in repr(outcome.exchanges)


# --- what is signed --------------------------------------------------------------------------------


def _pairs(seen: Seen, without: str = "sign") -> list[tuple[str, str]]:
    given = {**seen.query, **(seen.form if "urlencoded" in seen.headers.get("content-type", "") else {})}
    return sorted((key, value) for key, value in given.items() if key != without and value != "")


def _wrapped_md5(seen: Seen) -> bool:
    text = SECRET + "".join(key + value for key, value in _pairs(seen)) + SECRET
    return seen.form.get("sign") == hashlib.md5(text.encode()).hexdigest().upper()


def _key_last_md5(seen: Seen) -> bool:
    text = "&".join(f"{key}={value}" for key, value in [*_pairs(seen), ("key", SECRET)])
    return seen.form.get("sign") == hashlib.md5(text.encode()).hexdigest()


def _sorted_hmac(seen: Seen) -> bool:
    text = "".join(key + value for key, value in _pairs(seen)).encode() + seen.body
    return seen.query.get("sign") == hmac.new(SECRET.encode(), text, "sha256").hexdigest()


def _header(name: str, digest: str, prefix: str = "", stamped: str = "") -> Callable[[Seen], bool]:
    def proof(seen: Seen) -> bool:
        text = f"{seen.headers[stamped]}.".encode() + seen.body if stamped else seen.body
        made = hmac.new(SECRET.encode(), text, digest)
        fresh = not stamped or abs(time.time() - int(seen.headers[stamped])) < 60
        either = (prefix + made.hexdigest(), prefix + base64.b64encode(made.digest()).decode())
        return fresh and seen.headers.get(name) in either

    return proof


def _stamp(seen: Seen) -> bool:
    text = f"{seen.query['timestamp']}\n{SECRET}".encode()
    made = base64.b64encode(hmac.new(SECRET.encode(), text, "sha256").digest()).decode()
    return seen.query.get("sign") == made and abs(time.time() * 1000 - int(seen.query["timestamp"])) < 60_000


FORM = {"form": {"...": "${input}", "timestamp": "${now|s}", "app_key": "K1"}}


@pytest.mark.parametrize(("options", "call", "proof"), [
    ({"scheme": "sorted_params"}, FORM, _wrapped_md5),
    ({"scheme": "sorted_params", "equals": "=", "between": "&", "secret_param": "key", "case": "lower"}, FORM,
     _key_last_md5),
    ({"scheme": "sorted_params", "algorithm": "hmac_sha256", "case": "lower", "body": "append"},
     {"query": {"app_key": "K1", "t": "${now|s}"}}, _sorted_hmac),
    ({"scheme": "hmac_header", "header": "X-Sign", "prefix": "sha256="}, {}, _header("x-sign", "sha256", "sha256=")),
    ({"scheme": "hmac_header", "header": "X-Sign", "algorithm": "sha1", "encoding": "base64"}, {},
     _header("x-sign", "sha1")),
    ({"scheme": "hmac_header", "header": "X-Sign", "algorithm": "sha512", "timestamp_header": "X-Time"}, {},
     _header("x-sign", "sha512", stamped="x-time")),
    ({"scheme": "query_timestamp_hmac"}, {}, _stamp),
], ids=["md5-around", "md5-key-last", "sorted-hmac", "hmac-hex", "hmac-sha1", "hmac-stamped", "robot"])  # fmt: skip
async def test_every_signature_is_what_the_other_side_computes(
    peer: Peer, calls: client.Client, options: dict[str, Any], call: dict[str, Any], proof: Callable[[Seen], bool]
) -> None:
    scheme = options.pop("scheme") if "scheme" in options else "none"
    signing = {"scheme": scheme, "options": {**options, "secret": "${secret.app_secret}"}}
    options["scheme"] = scheme
    operations = {"ping": {"kind": "get", "path": "/ping"}, "save": {"kind": "write", "path": "/save", **call}}
    peer.decide = lambda seen: answer({"code": 0} if proof(seen) else {"code": 401})
    connection = opened(said(signing=signing, operations=operations), peer.url)
    given = {"no": "A1", "name": "张三 & 李四+1", "empty": "", "list": [1, {"a": "中"}]}
    outcome = await calls.call(connection, "save", given)
    assert SECRET not in repr(outcome.exchanges)
    with pytest.raises(errors.Rejected):
        await calls.call(opened(said(signing=signing, operations=operations), peer.url, app_secret="x"), "save", given)


async def test_standard_webhooks_are_accepted_by_their_own_library(peer: Peer, calls: client.Client) -> None:
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
    signing = {"scheme": "standard_webhooks", "options": {"secret": "${secret.hook_secret}"}}
    await_ok = standardwebhooks.Webhook(secret)
    peer.decide = lambda seen: answer({"code": 0, "seen": await_ok.verify(seen.body, seen.headers)})
    outcome = await calls.call(opened(said(signing=signing), peer.url, hook_secret=secret), "save", {"no": "A1"})
    assert outcome.data["seen"] == {"no": "A1"}


# --- page after page -------------------------------------------------------------------------------

ROWS = [{"no": f"A{number}"} for number in range(7)]


def _sliced(seen: Seen) -> Answer:
    """A list in every style at once: the declaration takes what it knows."""
    size = int(seen.query["size"])
    begin = int(seen.query.get("cursor") or seen.query.get("offset") or (int(seen.query.get("page", 1)) - 1) * size)
    rows, more = ROWS[begin : begin + size], begin + size < len(ROWS)
    following = str(begin + size) if more else "nomore"
    return answer({"code": 0, "rows": rows, "total": len(ROWS), "more": more, "next": following})


@pytest.mark.parametrize(("query", "paging"), [
    ({"page": "${page.no}"}, {"style": "page", "total": "total"}),
    ({"page": "${page.no}"}, {"style": "page"}),
    ({"page": "${page.no}"}, {"style": "page", "total": "total", "reverse": True}),
    ({"offset": "${page.offset}"}, {"style": "offset", "total": "total"}),
    ({"cursor": "${page.cursor}"}, {"style": "cursor", "cursor": "next", "end": ["nomore"]}),
    ({"cursor": "${page.cursor}"}, {"style": "cursor", "cursor": "next", "begin": 0, "has_next": "more"}),
    ({"page": "${page.no}"}, {"style": "has_more", "has_next": "more"}),
], ids=["page-total", "page-short", "page-reverse", "offset", "cursor-end", "cursor-more", "has-more"])  # fmt: skip
async def test_every_row_is_read_once_in_every_paging_style(
    peer: Peer, calls: client.Client, query: dict[str, str], paging: dict[str, Any]
) -> None:
    peer.decide = _sliced
    since = {"since": "${window.start|local}", "size": "${page.size}"}
    listed = {"kind": "list", "path": "/rows", "query": {**query, **since}, "items": "rows", "id": "no",
              "paging": {**paging, "size": 3}}  # fmt: skip
    connection = opened(said(operations={"rows": listed}), peer.url)
    at = datetime(2026, 6, 27, 10, tzinfo=UTC)
    pages = [page async for page in calls.pages(connection, "rows", {}, (at, at + timedelta(hours=1)))]
    assert sorted(row["no"] for page in pages for row in page) == [one["no"] for one in ROWS]
    assert {seen.query["since"] for seen in peer.seen} == {"2026-06-27 18:00:00"}


# --- what an answer means --------------------------------------------------------------------------

HINT = {"zh": "看这里", "en": "see here"}
TABLE = [
    {"match": ["40101"], "becomes": "credential", "hint": HINT},
    {"match": ["429*"], "becomes": "throttled", "hint": HINT},
    {"match": ["BAN"], "becomes": "banned", "retry_after": 60, "retry_after_pattern": "wait (\\d+)", "hint": HINT},
    {"match": ["BUSY"], "becomes": "unavailable", "hint": HINT}, {"text": "超时", "becomes": "unknown", "hint": HINT},
    {"match": ["DUP"], "becomes": "done", "hint": HINT}, {"match": ["BAD"], "becomes": "misdeclared", "hint": HINT},
    {"status": [418], "becomes": "rejected", "hint": HINT},
]  # fmt: skip


@pytest.mark.parametrize(("told", "status", "kind", "wait"), [
    ({"code": 40101}, 200, errors.CredentialRefused, None),
    ({"code": "42901", "retry": 7}, 200, errors.Throttled, 7),
    ({"code": "BAN", "message": "please wait 90 seconds"}, 200, errors.Throttled, 90),
    ({"code": "BUSY"}, 200, errors.Unavailable, None),
    ({"code": 5, "message": "后台超时"}, 200, errors.OutcomeUnknown, None),
    ({"code": "BAD"}, 200, errors.Misdeclared, None),
    ({"code": 6}, 418, errors.Rejected, None),
    ({"code": 77, "message": "no such shop"}, 200, errors.Rejected, None),
])  # fmt: skip
async def test_the_error_table_decides_what_follows(
    peer: Peer, calls: client.Client, told: dict[str, Any], status: int, kind: type[errors.ConnectorError],
    wait: float | None,
) -> None:  # fmt: skip
    peer.decide = lambda _seen: answer(told, status)
    failure = {"codes": ["body.code"], "message": ["body.message"], "retry_after": ["body.retry"]}
    text = said(errors=TABLE, failure=failure)
    with pytest.raises(kind) as caught:
        await calls.call(opened(text, peer.url), "save", {"no": "A1"})
    assert caught.value.hint["zh"]
    if wait is not None:
        assert getattr(caught.value, "retry_after", None) == wait


# --- from somebody else's text to a call -----------------------------------------------------------


async def test_a_pasted_command_calls_what_it_called(peer: Peer, calls: client.Client) -> None:
    made = curl.drafted(
        f"curl -X POST '{peer.url}/api/orders/4711/ship?shop=1' -H 'X-Api-Key: {SECRET}' "
        '-H \'Content-Type: application/json\' -d \'{"waybill": "SF1", "parts": [1, 2]}\''
    )
    text = source.written(made.spec)
    assert SECRET not in text
    peer.decide = lambda seen: answer({"ok": seen.headers.get("x-api-key") == SECRET})
    (name,) = made.spec["operations"]
    outcome = await calls.call(opened(text, peer.url), name, {"id": "4711", "shop": "1", "waybill": "SF1"})
    assert outcome.data == {"ok": True}
    (seen,) = peer.seen
    assert (seen.method, seen.path, seen.query.get("shop")) == ("POST", "/api/orders/4711/ship", "1")
    assert seen.json["waybill"] == "SF1"


async def test_a_drafted_document_calls_its_server(peer: Peer, calls: client.Client) -> None:
    document = {
        "openapi": "3.0.3",
        "info": {"title": "Depot", "version": "1"},
        "servers": [{"url": f"{peer.url}/v1"}],
        "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "key"}}},
        "security": [{"key": []}],
        "paths": {
            "/stock/{sku}": {
                "put": {
                    "operationId": "setStock",
                    "parameters": [{"name": "sku", "in": "path", "required": True}],
                    "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
                    "responses": {"200": {"description": "ok"}},
                }
            }
        },
    }
    made = openapi.drafted(json.dumps(document))
    peer.decide = lambda seen: answer({"sku": seen.path.rpartition("/")[2]})
    connection = opened(source.written(made.spec), f"{peer.url}/v1")
    await calls.call(connection, "set_stock", {"sku": "A/1 B", "quantity": 3})
    (seen,) = peer.seen
    assert (seen.method, seen.query["key"], seen.json["quantity"]) == ("PUT", SECRET, 3)


RPC = """\
apiVersion: shuniu/api/v1
id: books
label: 账房
protocol: json_rpc
endpoint: /rpc
operations: {book.put: {kind: write, rpc: book.put}, ping: {kind: get, rpc: ping}}
"""


async def test_a_method_that_gives_nothing_back_has_succeeded(peer: Peer, calls: client.Client) -> None:
    for void in ({}, {"error": None}):
        peer.decide = lambda seen, void=void: answer({"jsonrpc": "2.0", "id": "1", "result": None, **void})
        await calls.call(opened(RPC, peer.url), "book.put", {"no": "A1"})


async def test_an_error_beside_a_result_is_an_error_and_a_page_is_no_answer(peer: Peer, calls: client.Client) -> None:
    peer.decide = lambda seen: answer(
        {"jsonrpc": "2.0", "id": "1", "result": {}, "error": {"code": 7, "message": "关账"}}
    )
    with pytest.raises(errors.Rejected, match="关账"):
        await calls.call(opened(RPC, peer.url), "book.put", {"no": "A1"})
    for odd in ({}, {"message": "denied"}, []):
        peer.decide = lambda seen, odd=odd: answer(odd)
        with pytest.raises(errors.ConnectorError):
            await calls.call(opened(RPC, peer.url), "book.put", {"no": "A1"})


async def test_a_pasted_json_rpc_command_does_not_take_an_error_with_200_for_a_success(
    peer: Peer, calls: client.Client
) -> None:
    command = f"""curl {peer.url}/rpc -d '{{"jsonrpc": "2.0", "id": 1, "method": "book.put", "params": {{}}}}'"""
    made = curl.drafted(command)
    (name,) = made.spec["operations"]
    peer.decide = lambda seen: answer({"jsonrpc": "2.0", "id": 1, "error": {"code": 7, "message": "关账"}})
    with pytest.raises(errors.Rejected, match="关账"):
        await calls.call(opened(source.written(made.spec), peer.url), name, {"no": "A1"})
    peer.decide = lambda seen: answer({"jsonrpc": "2.0", "id": 1, "result": {"no": "A1"}})
    assert (await calls.call(opened(source.written(made.spec), peer.url), name, {})).data == {"no": "A1"}
