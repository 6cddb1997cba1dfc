"""Declarations drafted from what other systems publish: what is taken over, what is refused, and no secret kept."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.core import consent, model
from connectors.core.own import curl, draft, openapi, source

SHOP = """\
openapi: 3.1.0
info: {title: Corner Shop API, version: 2.4.0}
servers: [{url: "https://{region}.shop.example.com/v2/", variables: {region: {default: eu}}}]
security: [{key: []}]
paths:
  /orders:
    parameters:
      - {name: X-Tenant, in: header, schema: {type: string}}
    get:
      operationId: listOrders
      summary: List orders
      tags: [Orders]
      parameters:
        - {name: updatedSince, in: query, schema: {type: string}}
        - {name: page, in: query, schema: {type: integer}}
        - {name: per_page, in: query, schema: {type: integer}}
        - {name: status, in: query, schema: {type: string}}
      responses:
        "200": {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/OrderPage"}}}}
    post:
      operationId: createOrder
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}
      responses: {"201": {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}}
  /orders/{order.id}:
    parameters: [{name: order.id, in: path, required: true}]
    get:
      responses: {"200": {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}}
    put: {operationId: saveOrder, requestBody: {$ref: "#/components/requestBodies/Order"}, responses: {}}
    delete: {responses: {}}
  /customers:
    get:
      parameters: [{name: cursor, in: query}]
      responses:
        default: {description: no}
        "200":
          description: ok
          content:
            application/json:
              schema:
                type: object
                properties:
                  rows: {type: array, items: {type: object, properties: {customer_id: {type: string}}}}
                  next_cursor: {type: string}
components:
  requestBodies: {Order: {content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}}}
  securitySchemes: {key: {type: apiKey, in: header, name: X-Shop-Key}}
  schemas:
    Base: {type: object, properties: {id: {type: string}, updated_at: {type: string}}}
    Order:
      allOf: [{$ref: "#/components/schemas/Base"}, {type: object, properties: {lines: {type: array}}}]
    OrderPage:
      type: object
      properties:
        data:
          type: object
          properties:
            list: {type: array, items: {$ref: "#/components/schemas/Order"}}
            total: {type: integer}
"""


def compiled(made: draft.Draft) -> Any:
    return source.compiled(source.written(made.spec))


def refused(text: str, **more: Any) -> str:
    with pytest.raises(source.Broken) as caught:
        openapi.drafted(text, **more)
    return " ".join(f"{one.zh} {one.en}" for one in caught.value.wrong)


def test_a_document_becomes_a_declaration_that_can_be_used() -> None:
    made = openapi.drafted(SHOP)
    spec = compiled(made)
    assert (spec.id, spec.version, spec.label.en) == ("corner_shop_api", "2.4.0", "Corner Shop API")
    assert spec.fields[0].default == "https://eu.shop.example.com/v2"
    assert spec.auth[0].headers == {"X-Shop-Key": "${secret.api_key}"}
    listed = spec.operations["list_orders"]
    assert (listed.kind, listed.entity, listed.result, listed.items, listed.id) == (
        "list",
        "order",
        "data",
        "list",
        "id",
    )
    assert listed.query == {
        "updatedSince": "${window.start|iso}", "page": "${page.no}", "per_page": "${page.size}",
        "status": "${input.status}",
    }  # fmt: skip
    assert (listed.paging.style, listed.paging.total) == ("page", "data.total")
    assert listed.headers == {"X-Tenant": "${input.X-Tenant}"}
    assert spec.events["list_orders"].operation == "list_orders"
    assert spec.messages["row.list_orders"].time == "updated_at"
    saved = spec.operations["save_order"]
    assert (saved.kind, saved.method, saved.path) == ("write", "PUT", '/orders/${input["order.id"]}')
    assert spec.operations["create_order"].id == "id"
    assert spec.operations["get_orders_order_id"].kind == "get"
    customers = spec.operations["get_customers"]
    assert (customers.items, customers.id, customers.paging.style) == ("rows", "customer_id", "cursor")
    assert [one.key for one in made.offers if not one.taken] == []


@pytest.mark.parametrize("form", [yaml.safe_dump, json.dumps])
def test_only_the_picked_operations_are_taken_from_yaml_or_json(form: Any) -> None:
    made = openapi.drafted(form(yaml.safe_load(SHOP)), "corner", ["saveOrder", "GET /customers"])
    assert set(compiled(made).operations) >= {"save_order", "get_customers"}
    assert set(made.spec["operations"]) == {"save_order", "get_customers"}
    assert {one.key for one in made.offers if one.taken} == {"save_order", "get_customers"}
    assert len(made.offers) == 6


@pytest.mark.parametrize(("change", "said"), [
    (("#/components/schemas/OrderPage", "https://elsewhere.example.com/x.json#/a"), "只接受文档内部的引用"),
    (("#/components/schemas/OrderPage", "../secrets.yaml"), "only references inside"),
    (("#/components/schemas/OrderPage", "#/components/schemas/Nope"), "nothing is at"),
    (("openapi: 3.1.0", "swagger: '2.0'"), "Swagger 2"),
    (("paths:", "x-paths:"), "paths"),
    (("    Base: {type: object, properties", "    Base: {$ref: '#/components/schemas/Base', x"), "circle"),
    (("info: {", "info: &a {x: *a, "), "YAML"),
])  # fmt: skip
def test_a_document_that_reaches_out_or_goes_round_is_refused(change: tuple[str, str], said: str) -> None:
    assert change[0] in SHOP
    assert said in refused(SHOP.replace(*change))


def test_size_depth_and_names_are_bounded() -> None:
    assert "2048 KiB" in refused("x" * (openapi.LONGEST + 1))
    assert "64" in refused('{"a":' * 80 + "1" + "}" * 80)
    assert "64" in refused("[" * 5000)
    assert "did you mean listOrders" in refused(SHOP, wanted=["listOrder"])
    document = yaml.safe_load(SHOP)
    document["components"]["schemas"]["OrderPage"] = {"$ref": "#/components/schemas/A"}
    document["components"]["schemas"]["A"] = {"allOf": [{"$ref": "#/components/schemas/A"}]}
    compiled(openapi.drafted(json.dumps(document)))  # a schema that holds itself ends


@pytest.mark.parametrize(("scheme", "style", "fields"), [
    ("{type: http, scheme: bearer}", "bearer", ["api_key"]),
    ("{type: http, scheme: Basic}", "basic", ["user", "password"]),
    ("{type: apiKey, in: query, name: key}", "api_key", ["api_key"]),
    ("{type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://a.example.com/t', scopes: {r: '', w: ''}}}}",
     "oauth2_client", ["client_id", "client_secret"]),
    ("{type: oauth2, flows: {authorizationCode: {tokenUrl: 'https://a.example.com/t', scopes: {}}}}",
     "oauth2_code", ["client_id", "client_secret", "code", "redirect_uri"]),
    ("{type: oauth2, flows: {authorizationCode: {tokenUrl: 'https://a.example.com/t', authorizationUrl: 'https://a.io'}}}",
     "oauth2_code", ["client_id", "client_secret", "code", "redirect_uri"]),
])  # fmt: skip
def test_credentials_of_a_document_become_fields_of_the_form(scheme: str, style: str, fields: list[str]) -> None:
    made = openapi.drafted(SHOP.replace("{type: apiKey, in: header, name: X-Shop-Key}", scheme))
    assert made.spec["auth"][0]["style"] == style
    assert [one.key for one in compiled(made).fields][1:] == fields


def test_a_consent_page_is_gone_to_in_the_browser_and_nothing_is_typed() -> None:
    flow = "{tokenUrl: 'https://a.example.com/t', authorizationUrl: 'https://a.example.com/agree?v=2', scopes: {}}"
    made = compiled(openapi.drafted(SHOP.replace(
        "{type: apiKey, in: header, name: X-Shop-Key}", f"{{type: oauth2, flows: {{authorizationCode: {flow}}}}}"
    )))  # fmt: skip
    assert made.authorise is not None
    opened = model.Connection("own", made, {"client_id": "C1"}, {})
    page = consent.address(opened, made.authorise, "https://hub.example.com/back", "S1", 0.0)
    assert page.startswith(
        "https://a.example.com/agree?v=2&response_type=code&client_id=C1&redirect_uri=https%3A%2F%2F"
    )
    back = consent.found(opened, made.authorise, {"code": "C0", "state": "S1"}, "https://hub.example.com/back")
    assert back == {"code": "C0", "redirect_uri": "https://hub.example.com/back"}
    assert {one.key: (one.secret, one.required) for one in made.fields if one.key in made.authorise.fills} == {
        "code": (True, False), "redirect_uri": (True, False),
    }  # fmt: skip


def test_credentials_of_no_stock_kind_are_left_to_a_person() -> None:
    made = openapi.drafted(SHOP.replace("{type: apiKey, in: header, name: X-Shop-Key}", "{type: mutualTLS}"))
    assert "auth" not in made.spec
    assert any("key" in en for _, en in made.remarks)


SECRET = "canary-5f2d9e"


@pytest.mark.parametrize(("command", "method", "fields"), [
    (f"curl https://api.shop.example.com/v1/orders/123 -H 'Authorization: Bearer {SECRET}'", "GET", ["api_key"]),
    (f"curl -u admin:{SECRET} -X PUT https://shop.example.com/orders/77 -d '{{}}'", "PUT", ["password", "user"]),
    (f"curl --json '{{\"a\": 1}}' 'https://shop.example.com/orders?access_token={SECRET}&lang=zh'", "POST",
     ["access_token"]),
    (f"curl -G https://shop.example.com/orders --data-urlencode app_key={SECRET} -d status=paid", "GET", ["app_key"]),
    (f"curl 'https://shop.example.com/orders' \\\n  -H 'X-Api-Key: {SECRET}' \\\n  --compressed", "GET", ["x_api_key"]),
    (f"curl https://shop.example.com/login -d user=a -d password={SECRET}", "POST", ["password"]),
    (f"curl https://shop.example.com/orders -H 'Cookie: s={SECRET}' -H 'User-Agent: x'", "GET", []),
])  # fmt: skip
def test_a_command_becomes_a_declaration_without_its_secrets(command: str, method: str, fields: list[str]) -> None:
    made = curl.drafted(command)
    spec = compiled(made)
    (one,) = [each for name, each in spec.operations.items() if name in made.spec["operations"]]
    assert one.method == method
    assert SECRET not in str(made.spec) + str(made)
    assert sorted(each.key for each in spec.fields if each.key != "base_url") == fields


def test_an_id_in_the_path_becomes_an_input() -> None:
    made = curl.drafted("curl http://127.0.0.1:8081/api/orders/4711")
    (one,) = made.spec["operations"].values()
    assert one["path"] == "/api/orders/${input.id}"
    assert one["entity"] == "order"
    assert made.spec["base_url"] == "http://127.0.0.1:8081"


def test_a_json_rpc_command_keeps_its_method() -> None:
    made = curl.drafted(
        """curl http://127.0.0.1/rpc -d '{"jsonrpc":"2.0","id":7,"method":"book.put","params":{"x":1}}'"""
    )
    (one,) = made.spec["operations"].values()
    assert one["json"] == {"jsonrpc": "2.0", "id": "${uuid}", "method": "book.put", "params": "${input}"}


@pytest.mark.parametrize("command", [
    "wget http://x", "curl", "curl file:///etc/passwd", "curl 'http://x", "curl http://x -d @/etc/passwd",
    "curl http://x -F f=@a", "curl -K evil http://x", "curl http://x -H",
    "curl http://x -H 'Content-Type: text/csv' -d a",
    "curl http://x --json '{'", "curl " + "x" * 70000,
])  # fmt: skip
def test_a_command_that_is_no_call_is_refused_with_words(command: str) -> None:
    with pytest.raises(source.Broken) as caught:
        curl.drafted(command)
    assert all(one.zh and one.en for one in caught.value.wrong)


# --- whatever comes, it is a draft or a refusal ---------------------------------------------------


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in members:
        found += _places(inner, (*path, key))
    return found


def usable_or_refused(make: Callable[[], draft.Draft]) -> str:
    try:
        return source.compiled(source.written(make().spec)).id
    except source.Broken as error:
        return str(error)


PLACES = _places(yaml.safe_load(SHOP))
ODD = st.sampled_from([
    None, 0, 7.5, True, "", "x", "${input.x", "${nope|nope}", [], [1], [[]], {}, {"$ref": "#/info"},
    {"$ref": "#/paths"},
    {"$ref": 3}, {"type": "array"}, {"properties": 3}, {"allOf": 3}, {"allOf": [3]}, {"in": "path"}, {"name": 3},
])  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=3))
def test_a_mangled_document_is_drafted_or_refused(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = yaml.safe_load(SHOP)
    for path, odd in changes:
        here = document
        try:
            for step in path[:-1]:
                here = here[step]
            here[path[-1]] = copy.deepcopy(odd)
        except (KeyError, IndexError, TypeError):
            continue
    assert usable_or_refused(lambda: openapi.drafted(json.dumps(document)))


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from([
    "-H", "-d", "-X", "-u", "-G", "--json", "--url", "-F", "http://127.0.0.1/a/1?b=${c}", "https://[::1", "POST",
    "a: b",
    "Authorization: Basic ???", "Authorization: Bearer", "{", '{"jsonrpc":"2.0"}', "a=1&b", "=", ":", "'x'",
    "${input.y}",
    "http://127.0.0.1:99999/", "X-Token:", "-Hx:y", "-d{}", "--data=a", "$'a'", "http://127.0.0.1/${x}/%7B",
]), max_size=7))  # fmt: skip
def test_any_command_is_drafted_or_refused(words: list[str]) -> None:
    assert usable_or_refused(lambda: curl.drafted("curl " + " ".join(map(shlex.quote, words))))


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=200) | st.binary(max_size=80).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_declaration_or_refused(text: str) -> None:
    for read in (source.compiled, openapi.drafted, curl.drafted):
        with pytest.raises(source.Broken):
            read(text)


# --- what a document says of its pages, times and addresses ----------------------------------------


ROWS = "data: {type: array, items: {properties: {id: {}}}}"


def listing(parameters: str, body: str = ROWS, server: str = "/v1") -> Any:
    return yaml.safe_load(f"""
openapi: 3.0.3
info: {{title: Quirks, version: "1"}}
servers: [{{url: "{server}"}}]
paths:
  /orders:
    get:
      operationId: orders
      parameters: [{parameters}]
      responses: {{"200": {{content: {{application/json: {{schema: {{properties: {{{body}}}}}}}}}}}}}
""")


def drafted(*parts: str, **more: str) -> Any:
    return openapi.drafted(json.dumps(listing(*parts, **more))).spec["operations"]["orders"]


def test_sizes_and_first_pages_are_those_of_the_document() -> None:
    one = drafted(
        "{name: page, in: query, schema: {type: integer, default: 0}},"
        "{name: size, in: query, schema: {type: integer, default: 10, maximum: 20}}"
    )
    assert one["paging"] == {"style": "page", "size": 20, "first": 0}


@pytest.mark.parametrize(("shape", "role"), [
    ("{type: string, format: date-time}", "${window.start|iso}"),
    ("{type: integer, format: int64, description: Unix seconds}", "${window.start|s}"),
    ("{type: integer, description: 毫秒时间戳}", "${window.start|ms}"),
    ("{type: integer, example: 1700000000000}", "${window.start|ms}"),
])  # fmt: skip
def test_times_are_written_as_the_document_types_them(shape: str, role: str) -> None:
    one = drafted(f"{{name: updated_since, in: query, schema: {shape}}}")
    assert one["query"] == {"updated_since": role}


@pytest.mark.parametrize(("parameter", "paging"), [
    ("after", {"style": "link", "next": "next", "cursor": "after"}),
    ("page", {"style": "page", "has_next": "next"}),
])  # fmt: skip
def test_a_next_address_in_the_body_is_no_cursor(parameter: str, paging: dict[str, str]) -> None:
    rows = "results: {type: array, items: {properties: {id: {}}}}, next: {type: string, format: uri, nullable: true}"
    assert drafted(f"{{name: {parameter}, in: query, schema: {{type: string}}}}", rows)["paging"] == paging


def test_a_relative_server_stays_in_front_of_the_paths() -> None:
    assert drafted("")["path"] == "/v1/orders"
    assert drafted("", server="/")["path"] == "/orders"


def test_relative_addresses_of_oauth_are_those_of_the_server() -> None:
    flow = "{tokenUrl: /oauth/token, authorizationUrl: /agree, scopes: {read: '', write: ''}}"
    made = openapi.drafted(SHOP.replace(
        "{type: apiKey, in: header, name: X-Shop-Key}", f"{{type: oauth2, flows: {{authorizationCode: {flow}}}}}"
    ))  # fmt: skip
    assert made.spec["auth"] == [{
        "style": "oauth2_code", "token_url": "https://eu.shop.example.com/oauth/token",
        "authorize_url": "https://eu.shop.example.com/agree", "scope": "read write",
    }]  # fmt: skip


@pytest.mark.parametrize("command", [
    """curl 'https://shop.example.com/notes?size=20' --data-raw $'{"memo":"it\\'s \\u597d\\\\n"}'""",
    (
        'curl ^"https://shop.example.com/notes?size=20^" ^\n  -H ^"Accept: */*^" ^\n'
        '  --data-raw ^"^{^\\^"memo^\\^":^\\^"a^\\^"^}^"'
    ),
])  # fmt: skip
def test_commands_as_browsers_copy_them_are_read(command: str) -> None:
    spec = compiled(curl.drafted(command))
    one = spec.operations["notes"]
    assert (one.method, one.path, one.query) == ("POST", "/notes", {"size": "${input.size}"})
