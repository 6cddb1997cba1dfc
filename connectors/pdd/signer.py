"""The gateway's signature, the parameters that every call carries beside its own, and the grant of a shop.

They are added here, in the form, so that neither the access token nor anything else is in a URL. The digest
itself is the stock scheme of sorted parameters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from connectors.core import answer, errors, grant, model, scope, signing

Send = Callable[[model.Request], Awaitable[answer.Answer]]

EMPTY_TOO = {"skip_empty": False}
"""The vendor signs what it receives; nothing empty is sent, so nothing empty is left out."""


def digest(secret: str, params: Mapping[str, str]) -> str:
    """The ``sign`` of ``params``, upper-case hex. Raises Misdeclared without a secret."""
    if not secret:
        raise errors.Misdeclared(
            "no client_secret on this connection",
            hint={"zh": "请在连接中填写 client_secret", "en": "Enter the client_secret on the connection"},
        )
    signed = {name: value for name, value in params.items() if name != "sign"}
    return signing.sorted_params_signature(signed, {"secret": secret, **EMPTY_TOO})


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Add the common parameters and the signature to the form of ``request``; ``now`` in Unix seconds."""
    given = {**request.query, **(request.form or {})}
    form = {name: value for name, value in given.items() if value != ""}
    form |= {
        "client_id": str(scope.settings(connection).get("client_id", "")),
        "timestamp": str(int(now)),
        "data_type": "JSON",
        "version": "V1",
    }
    form["sign"] = digest(connection.secrets.get("client_secret", ""), form)
    request.query, request.form = {}, form


# The grant

_WRONG_MALL = {
    "zh": "授权的不是这家店铺：请用连接上 mall_id 的店铺主账号授权",
    "en": "Another shop was authorised: agree as the main account of the mall_id on this connection",
}


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """The access_token for the code of the last authorisation, else the one that a person entered."""

    async def exchange(code: str) -> model.Token:
        return await _exchanged(send, connection, {"type": "pdd.pop.auth.token.create", "code": code}, now)

    code, entered = _given(connection)
    return await grant.begun(code, entered, now, exchange)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The same access_token where only an edit ended it, the next one where the grant allows it, else None."""

    async def exchange(following: str) -> model.Token:
        wanted = {"type": "pdd.pop.auth.token.refresh", "refresh_token": following}
        return await _exchanged(send, connection, wanted, now)

    return await grant.gone_on(kept, _given(connection), now, exchange)


async def _exchanged(send: Send, connection: model.Connection, wanted: Mapping[str, str], now: float) -> model.Token:
    config = scope.settings(connection)
    request = model.Request("POST", str(config["base_url"]), form=dict(wanted))
    sign(request, connection, now)
    got = await send(request)
    grant.check(connection, got)
    said = _told(got.body, wanted["type"])
    if not said.get("access_token"):
        raise errors.CredentialRefused("the authorisation gave no token", hint=grant.AGAIN)
    mall = str(config.get("mall_id") or "")
    if mall and str(said.get("owner_id") or mall) != mall:
        raise errors.Misdeclared(f"the token is for shop {said.get('owner_id')}", hint=_WRONG_MALL)
    ends = float(said.get("expires_at") or now + float(said.get("expires_in") or 86400))
    following = str(said.get("refresh_token") or "")
    return model.Token(str(said["access_token"]), ends, grant.carried(following, ends, _given(connection)))


def _told(body: Any, kind: str) -> dict[str, Any]:
    root = kind.removeprefix("pdd.").replace(".", "_") + "_response"
    part = body.get(root) if isinstance(body, dict) else None
    return part if isinstance(part, dict) else {}


def _given(connection: model.Connection) -> tuple[str, str]:
    return connection.secrets.get("code", ""), connection.secrets.get("access_token", "")
