"""The way into the pretend platform: the gateway lookup, signed token requests, tokens, limits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from connectors.yonyou.simulated import books

SKEW = 300
OK = "成功！"


def proof(params: Mapping[str, str], secret: str) -> str:
    """The platform's own computation of a token request's signature."""
    joined = "".join(name + value for name, value in sorted(params.items()) if name != "signature")
    return base64.b64encode(hmac.new(secret.encode(), joined.encode(), hashlib.sha256).digest()).decode()


class Gate:
    """Tenants, apps and tokens. ``settings`` are the simulator's, ``now`` its clock in Unix seconds."""

    def __init__(self, settings: Mapping[str, Any], now: Callable[[], float]) -> None:
        self.settings, self.now = settings, now
        self.tokens: dict[str, float] = {}
        self.logins = 0

    def places(self, tenant: str, base: str) -> dict[str, str]:
        """Where this tenant's data centre is. Raises Refused."""
        if tenant != self.settings["tenant_id"]:
            raise books.Refused("500", "根据租户id获取网关地址出现异常")
        return {"gatewayUrl": f"{base}/iuap-api-gateway", "tokenUrl": f"{base}/iuap-api-auth"}

    def token(self, params: Mapping[str, str], *, isv: bool) -> dict[str, Any]:
        """A token for a signed request. Raises Refused."""
        self.logins += 1
        key = params.get("suiteKey" if isv else "appKey", "")
        if key != self.settings["app_key"] or isv is not (self.settings["app_type"] == "isv"):
            raise books.Refused("10018", "应用不存在或appKey已停用")
        if isv and params.get("tenantId") != self.settings["tenant_id"]:
            raise books.Refused("10020", "租户未开通该应用")
        stamp = params.get("timestamp", "")
        if not stamp.isdigit() or len(stamp) != 13 or abs(self.now() - int(stamp) / 1000) > SKEW:
            raise books.Refused("310008", "timestamp不合法")
        if params.get("signature") != proof(params, str(self.settings["app_secret"])):
            raise books.Refused("310023", "签名验证失败")
        made = secrets.token_hex(15) + "+/=="
        lifetime = float(self.settings["token_lifetime"])
        self.tokens[made] = self.now() + lifetime
        return {"access_token": made, "expire": int(lifetime)}

    def admitted(self, path: str, token: str) -> None:
        """Whether this call may go on. Raises Refused."""
        if not token:
            raise books.Refused("310001", "access_token不能为空")
        if self.tokens.get(token, 0) <= self.now():
            raise books.Refused("310036", "非法token")
        if path in self.settings["forbidden"]:
            raise books.Refused("310037", "应用没有调用此API的权限")
