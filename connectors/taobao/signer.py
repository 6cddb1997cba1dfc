"""TOP's signature over all parameters of a call; which digest is the connection's own choice.

The stock ``sorted_params`` scheme fixes one digest per connector; TOP lets each connection choose its
``sign_method`` and wraps the text in the secret only for ``md5``. The public parameters of every call
(app_key, timestamp, format, v, sign_method) are added here, in the form, so that none is in a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

from connectors.core import errors, model, scope, signing

ZONE = timezone(timedelta(hours=8))
ALGORITHMS = {"md5": "md5", "hmac": "hmac_md5", "hmac-sha256": "hmac_sha256"}
"""``sign_method`` -> our name of the digest."""


def local(at: float) -> str:
    """A Unix time as the vendor writes it."""
    return datetime.fromtimestamp(at, UTC).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")


def digest(method: str, secret: str, params: Mapping[str, str]) -> str:
    """The ``sign`` of ``params``, upper-case hex. Raises Misdeclared for an unknown method or without a secret."""
    if method not in ALGORITHMS:
        raise errors.Misdeclared(
            f"sign_method '{method}' is not known",
            hint={"zh": "签名方式只能是 md5、hmac 或 hmac-sha256", "en": "sign_method is md5, hmac or hmac-sha256"},
        )
    if not secret:
        raise errors.Misdeclared(
            "no App Secret on this connection",
            hint={"zh": "请在连接中填写 App Secret", "en": "Enter the App Secret on the connection"},
        )
    text = signing.param_text({name: value for name, value in params.items() if name not in ("", "sign")})
    wrapped = f"{secret}{text}{secret}" if method == "md5" else text
    return signing.digest(ALGORITHMS[method], secret, wrapped.encode()).hex().upper()


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Add the public parameters and the signature to the form of ``request``; ``now`` in Unix seconds."""
    config = scope.settings(connection)
    form = {
        **(request.form or {}),
        "app_key": str(config.get("app_key", "")),
        "timestamp": local(now),
        "format": "json",
        "v": "2.0",
        "sign_method": str(config.get("sign_method", "md5")),
    }
    secret = connection.secrets.get("app_secret", "")
    form["sign"] = digest(form["sign_method"], secret, {**request.query, **form})
    request.form = form
