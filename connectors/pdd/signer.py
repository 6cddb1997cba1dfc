"""The gateway's signature, and the parameters that every call carries beside its own.

They are added here, in the form, so that neither the access token nor anything else is in a URL. The digest
itself is the stock scheme of sorted parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors.core import errors, model, scope, signing

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
    form = {name: value for name, value in (request.form or {}).items() if value != ""}
    form |= {
        "client_id": str(scope.settings(connection).get("client_id", "")),
        "access_token": connection.secrets.get("access_token", ""),
        "timestamp": str(int(now)),
        "data_type": "JSON",
        "version": "V1",
    }
    form["sign"] = digest(connection.secrets.get("client_secret", ""), {**request.query, **form})
    request.form = form
