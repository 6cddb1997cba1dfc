"""Signing of calls, the single-use refresh token with its fixed end, and the encrypted push.

Three secrets that must not be mixed: ``app_secret`` (OAuth only), ``sign_secret`` (calls only) and ``message_key`` (the
AES key of pushes). A push has no signature: it is genuine when it opens with our key and is what the platform sends.
Stock can only be changed by a difference here; the difference is taken from what the flow read a moment before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from connectors.core import answer, errors, grant, jsontext, model, scope
from connectors.core import verify as proof

EARLY = 7200.0
"""Seconds before its end (48 hours) at which a token is renewed; older tokens stay good until their own end."""
STOCK = "open.item.sku.stock.update"

_EVENT = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_NO_GRANT = {
    "zh": "还没有授权：请填写授权码 code（2 分钟内有效）或 refresh_token",
    "en": "Not authorised yet: enter the authorisation code (valid 2 minutes) or a refresh token",
}
_NO_SECRET = {"zh": "请在连接中填写 签名密钥 signSecret", "en": "Enter the signSecret on the connection"}

Send = Callable[[model.Request], Awaitable[answer.Answer]]


def sign_text(params: Mapping[str, str], sign_secret: str) -> str:
    """What is signed: every parameter but ``sign``, sorted, raw, and the secret as the last one."""
    parts = [f"{name}={params[name]}" for name in sorted(params) if name != "sign"]
    return "&".join([*parts, f"signSecret={sign_secret}"])


def signature(params: Mapping[str, str], sign_secret: str) -> str:
    """Base64 of HMAC-SHA256 (the secret is key and text), or hex of MD5 where ``signMethod`` says nothing else."""
    text = sign_text(params, sign_secret).encode()
    if params.get("signMethod") == "HMAC_SHA256":
        return base64.b64encode(hmac.digest(sign_secret.encode(), text, "sha256")).decode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Add the public parameters and the signature; a POST carries all of it in its form. ``now`` in Unix seconds."""
    secret = connection.secrets.get("sign_secret", "")
    if not secret:
        raise errors.Misdeclared("no signSecret on this connection", hint=_NO_SECRET)
    params = {
        "param": "{}",
        **request.query,
        **(request.form or {}),
        "appkey": str(scope.settings(connection).get("app_key", "")),
        "version": "1",
        "timestamp": str(int(now * 1000)),
        "signMethod": "HMAC_SHA256",
    }
    if params.get("method") == STOCK:
        params["param"] = jsontext.dumps(difference(jsontext.loads(params["param"]))).decode()
    params["sign"] = signature(params, secret)
    if request.form is None:
        request.query = params
    else:
        request.query, request.form = {}, params


def difference(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """``{kwaiItemId, skuId, target, known}`` as the change that leads from the known level to the target.

    ``known`` are the SKU rows of the item, read just before. Raises Rejected when the SKU is not among them.
    """
    rows = wanted.get("known")
    sku = str(wanted.get("skuId"))
    found = [one for one in rows if isinstance(one, dict) and str(one.get("kwaiSkuId")) == sku] if rows else []
    if not found or not isinstance(found[0].get("skuStock"), int):
        raise errors.Rejected(
            f"SKU {sku} is not among those of item {wanted.get('kwaiItemId')}",
            hint={"zh": "商品里没有这个 SKU：请核对商品和 SKU 编号", "en": "The item has no such SKU: check both ids"},
        )
    change = int(wanted["target"]) - int(found[0]["skuStock"])
    head = {"kwaiItemId": wanted["kwaiItemId"], "skuId": wanted["skuId"]}
    return {**head, "skuChangeStock": abs(change), "changeType": 1 if change >= 0 else 2}


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """The first token, from the code of the form or else its refresh token. Raises CredentialRefused without either.

    The code comes first: whoever authorises again has a new code, beside a refresh token that is long over.
    """
    code, entered = connection.secrets.get("code", ""), connection.secrets.get("refresh_token", "")
    if not code and not entered:
        raise errors.CredentialRefused("neither a code nor a refresh token", hint=_NO_GRANT)

    async def exchange(one: str) -> model.Token:
        query = {**_client(connection), "grant_type": "code", "code": one}
        return _token(connection, await send(model.Request("GET", _url(connection, "access_token"), query=query)), now)

    return await grant.from_code(code, entered, exchange) or await _refreshed(send, connection, entered, now)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The next token of the chain: each refresh token works once, and the end of the first is the end of all."""
    old = grant.refresh_token(kept, _given(connection), now)
    return None if old is None else await _refreshed(send, connection, old, now)


async def _refreshed(send: Send, connection: model.Connection, old: str, now: float) -> model.Token:
    form = {"grant_type": "refresh_token", "refresh_token": old, **_client(connection)}
    return _token(connection, await send(model.Request("POST", _url(connection, "refresh_token"), form=form)), now)


def _token(connection: model.Connection, got: answer.Answer, now: float) -> model.Token:
    grant.check(connection, got)
    said = got.body if isinstance(got.body, dict) else {}
    if not said.get("access_token") or not said.get("refresh_token"):
        raise errors.CredentialRefused("the login gave no token", hint=grant.AGAIN)
    lifetime = float(said.get("expires_in") or 172800)
    until = said.get("refresh_token_expires_in")
    more = grant.carried(str(said["refresh_token"]), now + float(until) if until else None, _given(connection))
    return model.Token(str(said["access_token"]), now + lifetime - min(EARLY, lifetime / 2), more)


def _url(connection: model.Connection, what: str) -> str:
    return f"{str(scope.settings(connection)['base_url']).rstrip('/')}/oauth2/{what}"


def _client(connection: model.Connection) -> dict[str, str]:
    app_key = str(scope.settings(connection).get("app_key", ""))
    return {"app_id": app_key, "app_secret": connection.secrets.get("app_secret", "")}


def _given(connection: model.Connection) -> tuple[str, ...]:
    secrets = connection.secrets
    app_key = str(scope.settings(connection).get("app_key", ""))
    return app_key, secrets.get("code", ""), secrets.get("refresh_token", "")


def decrypt(private_key: str, raw_body: str | bytes) -> bytes:
    """The plaintext of a push: AES-128-CBC with a zero IV. Raises HookRefused, whatever is wrong with the text."""
    cipher = _cipher(private_key)
    body = raw_body.encode() if isinstance(raw_body, str) else raw_body
    text = body.strip(b" \t\r\n")
    try:
        sealed = base64.b64decode(text, validate=True)
        # The last character of base64 has unused bits: one message must not have several spellings.
        if not sealed or base64.b64encode(sealed) != text:
            raise ValueError
        reader, unpad = cipher.decryptor(), padding.PKCS7(128).unpadder()
        return unpad.update(reader.update(sealed) + reader.finalize()) + unpad.finalize()
    except (ValueError, binascii.Error):
        raise errors.HookRefused("forged", "cannot be decrypted") from None


def encrypt(private_key: str, plain: bytes) -> str:
    """The body of a push for ``plain``."""
    pad, writer = padding.PKCS7(128).padder(), _cipher(private_key).encryptor()
    return base64.b64encode(writer.update(pad.update(plain) + pad.finalize()) + writer.finalize()).decode()


def text(plain: bytes) -> str:
    """For the vectors: the plaintext as text."""
    return plain.decode()


def _cipher(private_key: str) -> Cipher[modes.CBC]:
    try:
        raw = base64.b64decode(private_key, validate=True)
        if len(raw) != 16:
            raise ValueError
    except (ValueError, binascii.Error):
        raise errors.HookRefused("misconfigured", "the message key must be 16 bytes in base64") from None
    return Cipher(algorithms.AES(raw), modes.CBC(bytes(16)))


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """A genuine push, opened. Messages of other sellers of the application are marked, not hidden.

    Raises errors.HookRefused.
    """
    key = proof.secrets_of(options, "key")[0]
    app_key = str(options.get("app_key") or "")
    if not app_key:
        raise errors.HookRefused("misconfigured", "no app_key on the connection")
    if not hook.body.strip():
        raise errors.HookRefused("unsigned", "the body is empty")
    plain = decrypt(key, hook.body)
    data = _envelope(plain, app_key)
    seller, wanted = data.get("userId"), str(options.get("seller_id") or "")
    if wanted and seller not in (None, 0, "") and str(seller) != wanted:
        plain = jsontext.dumps({**data, "foreign_seller": str(seller)})
    return model.VerifiedHook(plain)


def _envelope(plain: bytes, app_key: str) -> dict[str, Any]:
    """The message inside. The cipher has no proof of its own, so nothing but the platform's own shape is taken."""
    # The same words as a failed decryption: a sender must not learn which of the two it was.
    forged = errors.HookRefused("forged", "cannot be decrypted")
    try:
        data = jsontext.loads(plain)
        if data == {"test": True}:
            return {"test": True}
        if not isinstance(data, dict) or not proof.equal(str(data.get("appKey")), app_key):
            raise forged
        event, info = data.get("event"), data.get("info")
        named = isinstance(data.get("eventId"), str) and data["eventId"] != ""
        if not named or not isinstance(event, str) or not _EVENT.fullmatch(event):
            raise forged
        if isinstance(info, str) and info:
            info = jsontext.loads(info)
        if info not in (None, "") and not isinstance(info, dict):
            raise forged
    except jsontext.JsonError:
        raise forged from None
    return data
