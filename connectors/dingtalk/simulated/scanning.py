"""Signing in to a site by the simulated platform: who scans gets a code, the code a personal token, that a person.

The personal token is not the application's: these calls stand beside the ones that carry an application's token.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from connectors.dingtalk.simulated import book, corp

CODE_LIVES = 300
TOKEN_LIVES = 7200


class Scanning:
    """State and rules; ``settings`` are the application's."""

    def __init__(self, settings: Mapping[str, Any], now: Callable[[], float]) -> None:
        self._settings, self._now = settings, now
        self._codes: dict[str, tuple[float, str]] = {}
        self._tokens: dict[str, tuple[float, str]] = {}

    def scan(self, userid: str) -> dict[str, Any]:
        """Somebody scans the page's code and agrees; what the site gets back. Strangers have accounts too."""
        code = secrets.token_hex(16)
        self._codes[code] = (self._now() + CODE_LIVES, userid)
        return {"authCode": code}

    def token(self, body: corp.Body) -> corp.Body:
        """userAccessToken: for the application's own credentials; a code works once."""
        right = (self._settings["app_key"], self._settings["app_secret"])
        if (body.get("clientId"), body.get("clientSecret")) != right:
            raise corp.Refusal("invalidClientIdOrSecret", "无效的clientId或者clientSecret")
        if body.get("grantType") != "authorization_code":
            raise corp.Refusal("invalidParameter.grantType", "grantType 不合法")
        until, userid = self._codes.pop(str(body.get("code", "")), (0.0, ""))
        if until <= self._now():
            raise corp.Refusal("invalidParameter.authCode.notFound", "不存在的临时授权码")
        token = f"user{secrets.token_hex(16)}"
        self._tokens[token] = (self._now() + TOKEN_LIVES, userid)
        return {
            "accessToken": token, "refreshToken": secrets.token_hex(16), "expireIn": TOKEN_LIVES,
            "corpId": self._settings["corp_id"],
        }  # fmt: skip

    def person(self, token: str) -> corp.Body:
        """contact/users/me: who a personal token is of."""
        until, userid = self._tokens.get(token, (0.0, ""))
        if until <= self._now():
            raise corp.Refusal("InvalidAuthentication", "不合法的access_token", 401)
        return {"nick": userid, "unionId": book.union_of(userid), "openId": f"o{userid}", "stateCode": "86"}
