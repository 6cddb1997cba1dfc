"""Kingdee's signed headers, and the two logins that give a session instead.

Signed headers (style ``signed``): the client secret is hidden in the AppID; two HMACs cover the path and stamp, and
the account named in ``X-Kd-Appdata``. The body is not signed. Proven against the vendor's SDK 8.2.0
(``samples/vectors.json`` and the conformance tests run it).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from connectors.core import errors, model, scope

KEYSTREAM = b"0054f397c6234378b09ca7d3e5debce7"
"""XORed over the second half of every AppID by all official SDKs."""
SERVICES = "Kingdee.BOS.WebApi.ServicesStub.AuthService."
LIFETIME = 3600.0
"""Seconds a session is kept; idle ones end sooner on the server and are then renewed on its word."""
LOCKED = {
    "zh": "账号或密钥被拒绝。请核对账套ID、集成用户、应用ID和密钥；连续输错会锁定账号约30分钟。",
    "en": "The login was refused. Check data center, user, app id and secret; repeated failures lock the account.",
}

ADDRESS = {
    "zh": "产品地址不正确或站点正在维护：应以 /k3cloud/ 结尾，并且是金蝶云星空站点。",
    "en": "Check the server URL (a Kingdee site, ending in /k3cloud/); or the site is under maintenance.",
}


def client(app_id: str) -> tuple[str, str]:
    """Client id and client secret hidden in an AppID (``<id>_<32 characters>``). Raises Misdeclared."""
    name, _, segment = app_id.partition("_")
    try:
        hidden = base64.b64decode(segment, validate=True)
    except ValueError:
        hidden = b""
    if not name or len(hidden) != 24:
        raise errors.Misdeclared(
            "app_id is not <client id>_<32 characters>",
            hint={
                "zh": "应用ID应为“数字_32位字符”，请从“第三方系统登录授权”中完整复制。",
                "en": "Copy the whole App ID (number, underscore, 32 characters) from the authorisation page.",
            },
        )
    shown = bytes(left ^ right for left, right in zip(hidden, KEYSTREAM, strict=False))
    return name, base64.b64encode(shown).decode()


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Add the signed headers; nothing to do for the session styles. Raises Misdeclared, CredentialRefused."""
    config = scope.settings(connection)
    if config.get("login_style") != "signed":
        return
    secret = connection.secrets.get("app_secret", "")
    if not secret:
        raise errors.CredentialRefused("app_secret is missing", hint=LOCKED)
    request.headers.update(headers(urlsplit(request.url).path, config, secret, str(int(now))))


def headers(path: str, config: Mapping[str, Any], secret: str, stamp: str) -> dict[str, str]:
    """The nine headers for ``path`` at ``stamp`` (Unix seconds, also used as the nonce)."""
    app_id = str(config.get("app_id", ""))
    client_id, client_secret = client(app_id)
    account = ",".join(
        str(part) for part in (config["acct_id"], config["user_name"], config["lcid"], config["org_number"])
    )
    line = quote(path, safe="/").replace("/", "%2F")
    proof = f"POST\n{line}\n\nx-api-nonce:{stamp}\nx-api-timestamp:{stamp}\n"
    return {
        "X-Api-ClientID": client_id,
        "X-Api-Auth-Version": "2.0",
        "x-api-timestamp": stamp,
        "x-api-nonce": stamp,
        "x-api-signheaders": "x-api-timestamp,x-api-nonce",
        "X-Api-Signature": _mac(client_secret, proof),
        "X-Kd-Appkey": app_id,
        "X-Kd-Appdata": base64.b64encode(account.encode()).decode(),
        "X-Kd-Signature": _mac(secret, app_id + account),
    }


def _mac(key: str, text: str) -> str:
    """Base64 of the hex digits, not of the digest: the vendor's own habit."""
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return base64.b64encode(digest.encode()).decode()


def login_by_sign(acct: str, user: str, app_id: str, secret: str, stamp: str) -> str:
    """The proof of LoginBySign: SHA-256 over the sorted parts. Not used for calls; kept for the debugger."""
    return hashlib.sha256("".join(sorted([acct, user, app_id, secret, stamp])).encode()).hexdigest()


async def login(
    send: Callable[[model.Request], Awaitable[Any]], connection: model.Connection, now: float
) -> model.Token:
    """A session for the styles ``app_secret`` and ``password``.

    Judged by LoginResultType alone: 1 is success; MessageCode says CheckPasswordPolicy either way. Raises
    CredentialRefused (stop at once: three wrong tries lock the account), Misdeclared for a wrong address or data
    center, Unavailable when the site is down.
    """
    config, secrets = scope.settings(connection), connection.secrets
    account = [config["acct_id"], config["user_name"]]
    lcid = int(config["lcid"])
    if config.get("login_style") == "password":
        service, arguments = "ValidateUser", [*account, secrets.get("password", ""), lcid]
    else:
        service = "LoginByAppSecret"
        arguments = [*account, config.get("app_id", ""), secrets.get("app_secret", ""), lcid]
    if not arguments[-2]:
        raise errors.CredentialRefused(f"{service} needs a secret that is not set", hint=LOCKED)
    request = model.Request(
        method="POST",
        url=f"{str(config['server_url']).rstrip('/')}/{SERVICES}{service}.common.kdsvc",
        headers={"Content-Type": "application/json"},
        body=json.dumps({"parameters": arguments}, ensure_ascii=False).encode(),
    )
    answer = await send(request)
    if answer.status >= 500:
        raise errors.Unavailable(f"login answered HTTP {answer.status}")
    return _token(answer, now)


def _busy(said: dict[str, Any]) -> errors.ConnectorError:
    """A login refused in the envelope of the other services: the site counts calls, or broke."""
    status = said["Result"]["ResponseStatus"]
    message = str(status["Errors"][0]["Message"])
    if int(status["MsgCode"]) == 14:
        return errors.Throttled(message, code="14", retry_after=30)
    return errors.Unavailable(message, code=str(status["MsgCode"]))


def _token(answer: Any, now: float) -> model.Token:
    if answer.content.lstrip()[:1] == b"<" and answer.status == 200:
        raise errors.Unavailable("the login answered with a web page", hint=ADDRESS)
    try:
        said = json.loads(answer.content)
        if isinstance(said, dict) and "Result" in said:
            raise _busy(said)
        kind = int(said["LoginResultType"])
    except (ValueError, KeyError, TypeError) as error:
        raise errors.Misdeclared(
            f"the login answer (HTTP {answer.status}) is not Kingdee's",
            hint=ADDRESS,
        ) from error
    message = str(said.get("Message") or "login refused")
    if kind == 0:
        raise errors.Misdeclared(
            message, code="0", hint={"zh": "账套ID不存在，请核对数据中心ID。", "en": "No such data center id."}
        )
    if kind != 1:
        raise errors.CredentialRefused(message, code=str(kind), hint=LOCKED)
    session = str(said.get("KDSVCSessionId") or said["Context"]["SessionId"])
    cookies = dict(answer.cookies)
    cookies.setdefault("kdservice-sessionid", session)
    return model.Token(session, now + LIFETIME, cookies)
