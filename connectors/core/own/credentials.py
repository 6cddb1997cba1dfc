"""Stock ways to say who calls, for the short form: each stands for an auth block and the fields of the form.

``api_key`` a key in a header or the query; ``bearer``; ``basic``; ``oauth2_client`` (client credentials);
``oauth2_refresh`` (a refresh token given by a person, rotated from then on); ``oauth2_code`` (an authorisation code,
exchanged once, refreshed from then on). Signatures are ``signing`` and stand beside these.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from connectors.core import terms

Style = Literal["api_key", "bearer", "basic", "oauth2_client", "oauth2_refresh", "oauth2_code"]
OAUTH = ("oauth2_client", "oauth2_refresh", "oauth2_code")


class Credential(terms.Part):
    """One way to say who calls. ``name`` and ``place`` are of ``api_key``, the rest of OAuth 2."""

    style: Style
    place: Literal["header", "query"] = "header"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,60}$")] = "X-API-Key"
    prefix: str = ""
    """Before the key: ``Token ``."""
    secret: terms.Slug = "api_key"
    """Key of the form field that holds an API key or a bearer token."""
    token_url: str | None = None
    authorize_url: str | None = None
    """Of ``oauth2_code``: the consent page. With it people agree in the browser and type no code."""
    scope: str | None = None
    audience: str | None = None
    client: Literal["body", "basic"] = "body"
    """Where the client says who it is: in the form, or as HTTP basic authentication."""
    operations: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _complete(self) -> Credential:
        if self.style in OAUTH and not self.token_url:
            raise ValueError(f"{self.style} needs token_url")
        if self.authorize_url and self.style != "oauth2_code":
            raise ValueError("authorize_url is for oauth2_code")
        return self


def authorise(given: Iterable[Credential]) -> dict[str, Any] | None:
    """How a person agrees in the browser, where a consent page is known."""
    for one in given:
        if one.authorize_url:
            query = {"response_type": "code", "client_id": "${config.client_id}", "redirect_uri": "${redirect}"}
            more = {"state": "${state}"} | ({"scope": one.scope} if one.scope else {})
            fills = {"code": "code", "redirect_uri": "redirect_uri"}
            return {"url": one.authorize_url, "query": query | more, "fills": fills}
    return None


def auth(given: Iterable[Credential]) -> list[dict[str, Any]]:
    """Auth blocks of a declaration."""
    return [{**_block(one), "operations": one.operations} for one in given]


def _block(one: Credential) -> dict[str, Any]:
    match one.style:
        case "api_key":
            place = "headers" if one.place == "header" else "query"
            return {"style": "static", place: {one.name: f"{one.prefix}${{secret.{one.secret}}}"}}
        case "bearer":
            return {"style": "static", "headers": {"Authorization": f"Bearer ${{secret.{one.secret}}}"}}
        case "basic":
            return {"style": "static", "basic": {"user": "${config.user}", "password": "${secret.password}"}}
    made = {"style": "token", "headers": {"Authorization": "Bearer ${token}"}}
    return {**made, "token": _token(one)}


def _token(one: Credential) -> dict[str, Any]:
    common: dict[str, Any] = {"value": "access_token", "expires_in": "expires_in", "lifetime": 3600, "early": 60}
    renewal = {"grant_type": "refresh_token", "refresh_token": "${secret.refresh_token}"}
    match one.style:
        case "oauth2_client":
            return {**common, "request": _request(one, {"grant_type": "client_credentials"})}
        case "oauth2_refresh":
            made = {"request": _request(one, renewal), "given": ["refresh_token"]}
        case _:
            code = {"grant_type": "authorization_code", "code": "${secret.code}",
                    "redirect_uri": f"${{{'secret' if one.authorize_url else 'config'}.redirect_uri}}"}  # fmt: skip
            made = {"request": _request(one, code), "given": ["code"]}
    follow = _request(one, {**renewal, "refresh_token": "${token.refresh_token}"})
    return {**common, **made, "refresh": follow, "refresh_value": "refresh_token"}


def _request(one: Credential, form: dict[str, Any]) -> dict[str, Any]:
    assert one.token_url is not None
    whole = {**form, "scope": one.scope, "audience": one.audience}
    made: dict[str, Any] = {"method": "POST", "base": one.token_url, "headers": {"Accept": "application/json"}}
    if one.client == "basic":
        made["basic"] = {"user": "${config.client_id}", "password": "${secret.client_secret}"}
    else:
        whole |= {"client_id": "${config.client_id}", "client_secret": "${secret.client_secret}"}
    return {**made, "form": {key: value for key, value in whole.items() if value is not None}}


def errors(given: Iterable[Credential]) -> list[dict[str, Any]]:
    """What a refused token means, where there are tokens: RFC 6750 answers 401."""
    if not any(one.style in OAUTH for one in given):
        return []
    hint = {"zh": "授权已失效，请重新授权", "en": "The authorisation is over; authorise again"}
    return [{"status": [401], "becomes": "token", "hint": hint}]


def fields(given: Iterable[Credential]) -> list[dict[str, Any]]:
    """The fields of the form that these need."""
    return [field for one in given for field in _fields(one)]


def _fields(one: Credential) -> list[dict[str, Any]]:
    match one.style:
        case "api_key":
            return [_secret(one.secret, "API 密钥", "API key", f"放在 {one.name} 里。", f"Goes into {one.name}.")]
        case "bearer":
            return [_secret(one.secret, "访问令牌", "Access token", "不带 Bearer 前缀。", "Without the word Bearer.")]
        case "basic":
            return [
                _plain("user", "用户名", "User", "HTTP Basic 的用户名。", "The user of HTTP basic authentication."),
                _secret("password", "密码", "Password", "HTTP Basic 的密码。", "Its password."),
            ]
    found = [
        _plain("client_id", "客户端 ID", "Client id", "对方开放平台上应用的 client_id。", "The application's."),
        _secret(
            "client_secret", "客户端密钥", "Client secret", "与 client_id 同处取得。", "Found beside the client id."
        ),
    ]
    if one.style == "oauth2_refresh":
        zh, en = "授权时得到的 refresh_token；之后自动更新。", "Got when authorising; renewed by itself from then on."
        found.append(_secret("refresh_token", "刷新令牌", "Refresh token", zh, en))
    if one.authorize_url:
        zh, en = "点“去授权”同意后自动填上。", "Filled in by “Authorise”."
        filled = [
            _secret("code", "授权码", "Authorisation code", zh, en),
            _secret("redirect_uri", "回调地址", "Redirect URI", zh, en),
        ]
        return found + [{**field, "required": False} for field in filled]
    if one.style == "oauth2_code":
        zh, en = "授权页跳回的地址里的 code，只用一次。", "The code in the address that the consent page leads to."
        found.append(_secret("code", "授权码", "Authorisation code", zh, en))
        zh, en = "与申请授权码时所用的完全相同。", "Exactly the one the code was asked for with."
        found.append(_plain("redirect_uri", "回调地址", "Redirect URI", zh, en))
    return found


def _plain(key: str, zh: str, en: str, help_zh: str, help_en: str) -> dict[str, Any]:
    words = {"label": {"zh": zh, "en": en}, "help": {"zh": help_zh, "en": help_en}}
    return {"key": key, "required": True, **words}


def _secret(key: str, zh: str, en: str, help_zh: str, help_en: str) -> dict[str, Any]:
    return {**_plain(key, zh, en, help_zh, help_en), "secret": True}
