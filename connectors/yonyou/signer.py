"""YonBIP / YonSuite: the gateway of a tenant, signed tokens, and encrypted events of both generations.

A tenant's gateway depends on its data centre, so a login first asks where it is; the address is kept beside the token
(``${token.gateway}``) and asked again after a day, or when that place is gone. Only token requests are signed:
base64(HMAC-SHA256) over ``name value name value ...``, sorted. Events are AES-256-CBC with a key made of the App Secret
(an ISV app has its own EncodingAESKey); the newer generation proves them by HMAC, the older by SHA-1. A verified event
leaves here with the document that it is about under ``bill``: its place in the content differs from domain to domain.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.core import answer, cipher, errors, failure, jsontext, model, scope, signing
from connectors.core import verify as checks

LOOKUP = "/open-auth/dataCenter/getGatewayAddress"
OWN, ISV = "/open-auth/selfAppAuth/base/v1/getAccessToken", "/open-auth/suiteApp/base/v1/getAccessToken"
EARLY = 300.0
"""Seconds before its end at which a token is renewed."""
A_DAY = 86400.0
"""Seconds for which the place of a gateway is believed."""
FRESH = 600.0
"""Seconds for which that place is believed although a token of it was refused."""
_DEEP = 6
"""Levels of an event's content that are searched for the document's id."""

Send = Callable[[model.Request], Awaitable[answer.Answer]]

TENANT = {
    "zh": "查不到这个租户的网关：请核对租户 ID",
    "en": "No gateway for this tenant: check the tenant id",
}
MOVED = {
    "zh": "这个地址上没有用友的授权服务：请核对网关查询地址、网关地址和令牌地址",
    "en": "No authorisation service at this address: check the lookup, gateway and token addresses",
}
REFUSED = {
    "zh": "取令牌被拒绝：请核对 AppKey、AppSecret 是否成对，应用是否启用",
    "en": "The token was refused: check that AppKey and AppSecret belong together and that the app is enabled",
}


def text(params: Mapping[str, str]) -> str:
    """What is signed: names and values in the order of the names."""
    return signing.param_text({name: value for name, value in params.items() if name != "signature"}, skip_empty=False)


def signature(params: Mapping[str, str], secret: str) -> str:
    """The ``signature`` of a token request, before URL encoding."""
    return base64.b64encode(hmac.digest(secret.encode(), text(params).encode(), "sha256")).decode()


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """A token, and where the tenant's gateway is. Raises CredentialRefused, Misdeclared, Throttled, Unavailable."""
    config = scope.settings(connection)
    gateway, tokens = config.get("gateway_url"), config.get("token_url")
    if not gateway or not tokens:
        gateway, tokens = await _places(send, connection)
    return await _token(send, connection, _Place(str(gateway).rstrip("/"), str(tokens).rstrip("/"), now), now)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The next token from the place that gave the one before, without asking again where that is for a day.

    None means: ask again, because the day is over, the token was refused early, the connection means another tenant, or
    the place does not answer.
    """
    config, known = scope.settings(connection), kept.extra
    place = _Place(known.get("gateway", ""), known.get("tokens", ""), float(known.get("asked") or 0))
    if config.get("gateway_url") or known.get("tenant") != str(config.get("tenant_id")) or now - place.asked > A_DAY:
        return None
    if kept.expires_at > now and now - place.asked > FRESH:
        return None  # refused before its end: the tenant may live elsewhere by now
    try:
        return await _token(send, connection, place, now)
    except (errors.Unavailable, errors.Misdeclared):
        return None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tenant lives, and when (Unix seconds) we were told."""

    gateway: str
    tokens: str
    asked: float


async def _token(send: Send, connection: model.Connection, place: _Place, now: float) -> model.Token:
    config, secret = scope.settings(connection), connection.secrets.get("app_secret", "")
    if not secret:
        raise errors.CredentialRefused("no AppSecret on this connection", hint=REFUSED)
    params = {"timestamp": str(int(now * 1000))}
    isv = config.get("app_type") == "isv"
    if isv:
        params |= {"suiteKey": str(config["app_key"]), "tenantId": str(config["tenant_id"])}
    else:
        params["appKey"] = str(config["app_key"])
    query = {**params, "signature": signature(params, secret)}
    got = await send(model.Request("GET", place.tokens + (ISV if isv else OWN), query))
    data = _data(connection, got, REFUSED)
    value, lifetime = data.get("access_token"), float(data.get("expire") or 7200)
    if not value:
        raise errors.CredentialRefused("the answer holds no access_token", hint=REFUSED)
    told = {"gateway": place.gateway, "tokens": place.tokens, "asked": str(int(place.asked))}
    usable = lifetime - min(EARLY, lifetime / 2)
    return model.Token(str(value), now + usable, {**told, "tenant": str(config.get("tenant_id", ""))})


async def _places(send: Send, connection: model.Connection) -> tuple[str, str]:
    config = scope.settings(connection)
    url = str(config["lookup_url"]).rstrip("/") + LOOKUP
    got = await send(model.Request("GET", url, {"tenantId": str(config.get("tenant_id", ""))}))
    data = _data(connection, got, TENANT)
    gateway, tokens = data.get("gatewayUrl"), data.get("tokenUrl")
    if not gateway or not tokens:
        raise errors.Misdeclared("the lookup gave no gateway", hint=TENANT)
    return str(gateway), str(tokens)


def _data(connection: model.Connection, got: answer.Answer, hint: dict[str, str]) -> dict[str, Any]:
    """The ``data`` of an open-auth answer, whose success is code 00000. Raises by the connector's tables."""
    said = got.body if got.parsed and isinstance(got.body, dict) else {}
    if got.status == 404:
        raise errors.Misdeclared("nobody answers there", code="404", hint=MOVED)  # whoever kept the place asks again
    if said.get("code") == "00000" and isinstance(said.get("data"), dict):
        return dict(said["data"])
    found = failure.Reader(connection.declaration, None).finding(got, safe=True)
    error = failure.error(found, "token", safe=True)
    if not said or isinstance(error, errors.Throttled | errors.Unavailable):
        raise error
    kind = errors.Misdeclared if hint is TENANT else errors.CredentialRefused
    raise kind(found.message, code=found.code, hint=hint)


def cipher_key(secret: str) -> str:
    """The 43 characters that the AES key of an own app is read from: its secret without dashes, padded with zeros."""
    return secret.replace("-", "")[:43].ljust(43, "0")


def opened(key: str, owner: str, encrypt: str) -> str:
    """The text of an event. Raises HookRefused when the key or the owner is not the sender's."""
    message, _ = checks.unsealed(key, encrypt + "=" * (-len(encrypt) % 4), [owner] if owner else [])
    return message.decode("utf-8", "replace")


def event_signature(secret: str, timestamp: str, nonce: str, encrypt: str) -> str:
    """The newer generation's proof (field ``signature``): base64 HMAC over the three sorted texts."""
    joined = "".join(sorted((nonce, encrypt, timestamp)))
    return base64.b64encode(hmac.digest(secret.encode(), joined.encode(), "sha256")).decode()


def event_signature_old(secret: str, timestamp: str, nonce: str, encrypt: str) -> str:
    """The older generation's proof (field ``msgSignature``): hex SHA-1 over the four sorted texts."""
    joined = "".join(sorted((secret, timestamp, nonce, encrypt)))
    return hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """An event whose proof holds, as plain JSON with ``bill``. Raises HookRefused.

    Options: ``secret``, ``isv`` with its ``key`` (43 characters; else it is made of the secret), ``owner`` (AppKey or
    suiteKey), ``tenant``, ``window`` seconds, ``reply`` plain | encrypted. The field that holds the proof tells the
    generation.
    """
    secret = checks.secrets_of(options)[0]
    outer = _envelope(hook.body)
    proof = outer["signature"] or outer["msgSignature"]
    if not all((proof, outer["timestamp"], outer["nonce"], outer["encrypt"])):
        raise errors.HookRefused("unsigned", "signature, timestamp, nonce or encrypt is missing")
    prove = event_signature if outer["signature"] else event_signature_old
    if not checks.equal(proof, prove(secret, outer["timestamp"], outer["nonce"], outer["encrypt"])):
        raise errors.HookRefused("forged", "wrong signature")
    checks.in_window(outer["timestamp"], now, options.get("window"), "ms")
    key = checks.secrets_of(options, "key")[0] if options.get("isv") else cipher_key(secret)
    owner = str(options.get("owner") or "")
    try:
        event = jsontext.loads(opened(key, owner, outer["encrypt"]))
    except jsontext.JsonError:
        raise errors.HookRefused("garbled", "the event is not JSON") from None
    if not isinstance(event, dict):
        raise errors.HookRefused("garbled", "the event is no object")
    tenant = str(event.get("tenantId") or "")
    if tenant and options.get("tenant") and tenant != options["tenant"]:
        raise errors.HookRefused("forged", "another tenant's event")
    told = {**event, "bill": document(event.get("content", event))}
    return model.VerifiedHook(jsontext.dumps(told), {"reply": _reply(options, secret, key, owner, prove, now)})


def _envelope(body: bytes) -> dict[str, str]:
    """The parts of the envelope as text, empty where absent."""
    try:
        outer = jsontext.loads(body)
    except jsontext.JsonError:
        raise errors.HookRefused("garbled", "the envelope is not JSON") from None
    if not isinstance(outer, dict):
        raise errors.HookRefused("garbled", "the envelope is no object")
    found = {}
    for name in ("signature", "msgSignature", "timestamp", "nonce", "encrypt"):
        value = outer.get(name)
        whole = isinstance(value, int) and not isinstance(value, bool) and name == "timestamp"
        found[name] = value if isinstance(value, str) else str(value) if whole else ""
    return found


def _reply(
    options: Mapping[str, Any], secret: str, key: str, owner: str, prove: Callable[..., str], now: float
) -> str | dict[str, Any]:
    """What tells the platform that the event was taken: the word, or the word sealed and signed as events are."""
    if options.get("reply") != "encrypted":
        return "success"
    sealed, nonce, stamp = cipher.encrypt(key, b"success", owner), secrets.token_urlsafe(8), int(now * 1000)
    name = "signature" if prove is event_signature else "msgSignature"
    return {name: prove(secret, str(stamp), nonce, sealed), "timestamp": stamp, "nonce": nonce, "encrypt": sealed}


def document(content: Any) -> dict[str, str]:
    """Id, code and kind of the document that an event is about, wherever they stand; empty when there is none."""
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            return {}
    for names in (("billId", "billCode", "billNo"), ("id", "code", "")):
        found = _holder(content, names[0], _DEEP)
        if found is not None:
            kinds = zip(("id", "code", "kind"), names, strict=True)
            return {kind: str(found[name]) for kind, name in kinds if found.get(name) not in (None, "")}
    return {}


def _holder(node: Any, name: str, depth: int) -> dict[str, Any] | None:
    """The outermost object that has ``name``, breadth first."""
    level = [node]
    for _ in range(depth):
        following: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                if isinstance(one.get(name), str | int) and not isinstance(one[name], bool) and one[name] != "":
                    return one
                following += one.values()
            elif isinstance(one, list):
                following += one[:50]
        level = [one for one in following if isinstance(one, dict | list)]
    return None
