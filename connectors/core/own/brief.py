"""The short form of a declaration, ``apiVersion: shuniu/api/v1``, and what it stands for in full.

It says what is particular to one API (address, credentials, operations, what to poll) and leaves to us what most of
them share. ``expanded`` gives the same data as a ``connector.yaml`` would hold; from there on nobody sees a difference.
Placeholders ``${config.x}`` and ``${secret.x}`` that no field declares get a field of their own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from connectors.core import declaration, template, terms
from connectors.core.own import credentials

VERSION = "shuniu/api/v1"
READS = ("list", "get")
TEST = "connection.test"
REACHED = [200, 201, 202, 203, 204, 206, 400, 404, 405, 406, 415, 422]
"""Where nothing can be read without input, a test knows only that somebody answered and did not refuse us."""

Words = str | terms.Text


class Always(terms.Part):
    """What every call carries besides its credentials."""

    query: dict[str, Any] = Field(default_factory=dict)
    headers: dict[str, Any] = Field(default_factory=dict)


class Poll(terms.Part):
    """A list that is read again and again; each row is an event. Times in seconds, paths within the row."""

    operation: str
    entity: str
    record: terms.Path = "id"
    time: terms.Path | None = None
    dedupe: list[terms.Path] = Field(default_factory=list)
    """Absent: ``record`` and ``time``; without a time the row's content."""
    body: terms.Path = "."
    mapping: str | None = None
    hydrate: declaration.Hydrate | None = None
    label: Words | None = None
    every: float = Field(default=60, ge=1)
    window: float = Field(default=86400, gt=0)
    overlap: float = Field(default=120, ge=0)
    lag: float = Field(default=0, ge=0)
    horizon: float = Field(default=86400, ge=0)
    when: dict[str, str | list[str]] = Field(default_factory=dict)
    whole: bool = False


class Brief(terms.Part):
    """A whole declaration in short."""

    apiVersion: Literal["shuniu/api/v1"]
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    label: Words
    version: str = "1.0.0"
    category: Literal["marketplace", "mall", "erp", "wms", "crm", "messaging", "oa", "generic"] = "generic"
    aliases: list[str] = Field(default_factory=list)
    docs_url: str = ""
    base_url: Annotated[str, Field(max_length=500)] = ""
    """What the connection's address is when nothing else is entered."""
    protocol: Literal["rest", "json_rpc"] = "rest"
    endpoint: str = ""
    """Path of every call of a JSON-RPC service."""
    auth: list[credentials.Credential] = Field(default_factory=list)
    fields: list[terms.FieldSpec] = Field(default_factory=list)
    always: Always = Always()
    time: declaration.TimeFormat = declaration.TimeFormat()
    signing: declaration.Signing = declaration.Signing()
    success: terms.Condition | None = None
    failure: terms.Failure | None = None
    errors: list[terms.ErrorRule] = Field(default_factory=list)
    pacing: declaration.Pacing = declaration.Pacing()
    probe: str | None = None
    operations: Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=400)]
    """As in ``connector.yaml``; for JSON-RPC ``rpc`` names the method and ``params`` its parameters."""
    polls: dict[str, Poll] = Field(default_factory=dict)


def expanded(given: Brief) -> dict[str, Any]:
    """The full declaration as data; it still has to be validated as one."""
    operations = {name: _operation(given, name, one) for name, one in given.operations.items()}
    probe = given.probe or _probe(operations)
    if probe is None:
        probe = TEST
        operations[TEST] = {
            "label": {"zh": "测试连接", "en": "Connection test"}, "kind": "get", "method": "GET", "path": "/",
            "success": {"path": "status", "one_of": REACHED},
        }  # fmt: skip
    made: dict[str, Any] = {
        "apiVersion": "shuniu/connector/v1", "id": given.id, "version": given.version, "label": _words(given.label),
        "category": given.category, "aliases": given.aliases, "docs_url": given.docs_url or given.base_url,
        "time": given.time.model_dump(), "signing": given.signing.model_dump(), "auth": credentials.auth(given.auth),
        "success": given.success.model_dump(exclude_defaults=True) if given.success else _success(given),
        "failure": (given.failure or _failure(given)).model_dump(), "pacing": given.pacing.model_dump(),
        "errors": [*(one.model_dump(exclude_defaults=True) for one in given.errors), *credentials.errors(given.auth)],
        "probe": probe,
        "operations": operations,
        "messages": {f"row.{name}": _message(given, name, one) for name, one in given.polls.items()},
        "events": {name: _source(name, one) for name, one in given.polls.items()},
    }  # fmt: skip
    if given.always.query or given.always.headers:
        made["auth"].append({"style": "static", **given.always.model_dump()})
    if page := credentials.authorise(given.auth):
        made["authorise"] = page
    made["fields"] = _fields(given, made)
    return made


def _words(given: Words) -> dict[str, str]:
    return {"zh": given, "en": given} if isinstance(given, str) else {"zh": given.zh, "en": given.en}


def _success(given: Brief) -> dict[str, Any]:
    if given.protocol == "json_rpc":
        # A method that gives nothing back answers ``result: null``; some servers put a result beside their error.
        answered = [{"path": "body.result", "present": True}, {"path": "body.jsonrpc", "equals": "2.0"}]
        return {"all": [{"path": "status", "equals": 200}, {"path": "body.error", "present": False}, {"any": answered}]}
    return {
        "all": [
            {"path": "status", "one_of": [200, 201, 202, 203, 204, 206]},
            {"path": "headers.content-type", "contains": "text/html", "negate": True},
        ]
    }


def _failure(given: Brief) -> terms.Failure:
    if given.protocol == "json_rpc":
        return terms.Failure(codes=["body.error.code"], message=["body.error.message"])
    return terms.Failure(
        codes=["body.code", "body.error.code", "body.error_code", "body.errcode"],
        message=["body.message", "body.msg", "body.error.message", "body.errmsg", "body.detail", "body.error",
                 "body.title"],
        retry_after=["headers.retry-after"],
    )  # fmt: skip


def _operation(given: Brief, name: str, told: dict[str, Any]) -> dict[str, Any]:
    one = dict(told)
    kind = one.setdefault("kind", "call")
    label = one.get("label", name)
    one["label"] = {"zh": label, "en": label} if isinstance(label, str) else label
    if isinstance(one.get("paging"), dict):  # nobody may know what the system gives at most, whatever it is asked for
        one["paging"] = {"short_ends": False, **one["paging"]}
    rpc = one.pop("rpc", None)
    if given.protocol == "json_rpc" and rpc is not None:
        params = one.pop("params", {} if kind in READS else "${input}")
        one["json"] = {"jsonrpc": "2.0", "id": "${uuid}", "method": rpc, "params": params}
        one |= {"method": "POST", "path": one.get("path", given.endpoint)}
        result = one.get("result")
        one["result"] = f"result.{result}" if isinstance(result, str) and result != "." else "result"
        return one
    method = one.setdefault("method", "GET" if kind in READS else "POST")
    if kind in ("write", "act") and method != "DELETE" and not any(key in one for key in ("json", "form", "text")):
        one["json"] = "${input}"
    if kind == "write" and method == "PUT":
        one.setdefault("idempotent", "key")  # the same record at the same address
    return one


def _probe(operations: dict[str, dict[str, Any]]) -> str | None:
    """The first operation that reads and needs nothing to be told."""
    for kind in ("get", "list"):
        for name, one in operations.items():
            names = template.names({key: one.get(key) for key in ("path", "query", "json", "form", "text")})
            if one["kind"] == kind and not any(used == "input" or used.startswith("input.") for used in names):
                return name
    return None


def _message(given: Brief, name: str, one: Poll) -> dict[str, Any]:
    dedupe = one.dedupe or ([one.record, one.time] if one.time else [])
    if one.whole and not any("${window." in path for path in dedupe):
        joined = given.operations.get(one.operation, {}).get("together")
        named = joined.get("by") if isinstance(joined, dict) else None
        dedupe = [*(named or [one.record]), "${window.end|s}"]
    made: dict[str, Any] = {
        "label": _words(one.label or name), "entity": one.entity, "record": one.record, "dedupe": dedupe,
        "time": one.time, "mapping": one.mapping,
    }  # fmt: skip
    if one.hydrate is not None:
        return {**made, "hydrate": one.hydrate.model_dump()}
    return {**made, "body": one.body}


def _source(name: str, one: Poll) -> dict[str, Any]:
    return {
        "label": _words(one.label or name), "door": "poll", "messages": [f"row.{name}"], "operation": one.operation,
        "every": one.every, "window": one.window, "overlap": one.overlap, "lag": one.lag, "horizon": one.horizon,
        "order_by": one.time, "when": one.when, "whole": one.whole,
    }  # fmt: skip


def _fields(given: Brief, made: dict[str, Any]) -> list[dict[str, Any]]:
    found = [one.model_dump(exclude_defaults=True, mode="json") for one in given.fields]
    known = {one["key"] for one in found}
    wanted = [_address(given), *credentials.fields(given.auth)]
    wanted += [_unsaid(name) for name in sorted(_named(made))]
    for one in wanted:
        if one["key"] not in known:
            known.add(one["key"])
            found.append(one)
    return found


def _address(given: Brief) -> dict[str, Any]:
    return {
        "key": "base_url", "type": "url", "required": True, "default": given.base_url or None,
        "label": {"zh": "接口地址", "en": "API address"},
        "help": {"zh": "对方接口的地址，不带结尾斜杠。", "en": "Where the API is, without a trailing slash."},
    }  # fmt: skip


def _named(node: Any) -> set[str]:
    """``config.x`` and ``secret.x`` of every placeholder in the data."""
    names = template.names(node)
    return {".".join(name.split(".")[:2]) for name in names if name.startswith(("config.", "secret."))}


def _unsaid(name: str) -> dict[str, Any]:
    root, _, key = name.partition(".")
    secret = root == "secret"
    return {
        "key": key, "secret": secret, "required": secret, "label": {"zh": key, "en": key},
        "help": {"zh": f"由对方系统提供的 {key}。", "en": f"The {key} that the other system gives."},
    }  # fmt: skip
