"""Reproducing a vector of ``samples/vectors.json`` by our own code, whatever the connector.

``inputs.kind`` says by what. The stock kinds below belong to the shared schemes; any other kind is
``<module>.<function>`` of the connector's own folder, called with the rest of ``inputs`` by name, its result passed
through ``then`` (another such function) when that is given. So a connector brings vectors and no test.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from connectors.core import cipher, declaration, errors, model, registry, signing, verify

Inputs = Mapping[str, Any]


def _webhook_sign(given: Inputs, _expected: Any) -> Any:
    signature = signing.webhook_signature(given["secret"], given["id"], str(given["timestamp"]), given["body"].encode())
    return {"signature": signature}


def _webhook_verify(given: Inputs, _expected: Any) -> Any:
    stamp = str(given["timestamp"])
    headers = {"webhook-id": given["id"], "webhook-timestamp": stamp, "webhook-signature": given["signature"]}
    hook = model.RawHook("POST", {}, headers, given["body"].encode())
    spec = declaration.Verify(scheme="standard_webhooks", options={"secrets": given["secrets"]})
    anybody = model.Connection("vectors", registry.get(registry.all_ids()[0]), {}, {})
    try:
        verify.verify(hook, anybody, spec, float(given["timestamp"]))
    except errors.HookRefused:
        return {"accepted": False}
    return {"accepted": True}


def _header_sign(given: Inputs, _expected: Any) -> Any:
    options = {key: given[key] for key in ("algorithm", "encoding", "prefix") if key in given}
    stamp = str(given["timestamp"]) if "timestamp" in given else None
    return {"signature": signing.header_signature(options, given["secret"], given["body"].encode(), stamp)}


def _params_sign(given: Inputs, _expected: Any) -> Any:
    options = {key: value for key, value in given.items() if key not in ("kind", "params", "body")}
    return {"sign": signing.sorted_params_signature(given["params"], options, given.get("body", "").encode())}


def _stamp_sign(given: Inputs, _expected: Any) -> Any:
    return {"sign_urlencoded": quote(signing.timestamp_signature(given["secret"], given["timestamp_ms"]), safe="")}


def _plain_hmac(given: Inputs, _expected: Any) -> Any:
    found = signing.digest("hmac_sha256", given["key"], given["message"].encode())
    return {"urlencoded": quote(base64.b64encode(found).decode(), safe="")}


def _proof(given: Inputs, text: str) -> str:
    return cipher.signature(given["token"], given["timestamp"], given["nonce"], text)


def _open(given: Inputs, _expected: Any) -> Any:
    """Opened, and closed again to the same text."""
    key, text = given["encoding_aes_key"], given["encrypt"]
    message, owner = cipher.decrypt(key, text)
    head = cipher.unseal(key, base64.b64decode(text))[:16]
    assert cipher.encrypt(key, message, owner, random=head) == text
    found = {"msg": message.decode(), "receive_id": owner, "random16": head.decode()}
    return {"msg_signature": _proof(given, text), **found}


def _close(given: Inputs, _expected: Any) -> Any:
    message, head = given["msg"].encode(), given["random16"].encode()
    text = cipher.encrypt(given["encoding_aes_key"], message, given["receive_id"], random=head)
    return {"encrypt": text, "msg_signature": _proof(given, text)}


def _check(given: Inputs, expected: Any) -> Any:
    made = _proof(given, given["encrypt"])
    return {"valid": made == given["msg_signature"]} if "valid" in expected else {"msg_signature": made}


def _seal(given: Inputs, _expected: Any) -> Any:
    sealed = cipher.seal(given["encoding_aes_key"], given["plaintext"].encode())
    assert cipher.unseal(given["encoding_aes_key"], sealed) == given["plaintext"].encode()
    return {"ciphertext_b64": base64.b64encode(sealed).decode()}


STOCK: dict[str, Callable[[Inputs, Any], Any]] = {
    "standard_webhooks.sign": _webhook_sign,
    "standard_webhooks.verify": _webhook_verify,
    "hmac_header.sign": _header_sign,
    "sorted_params.sign": _params_sign,
    "query_timestamp_hmac.sign": _stamp_sign,
    "hmac_sha256": _plain_hmac,
    "callback.decrypt": _open,
    "url_verify.decrypt_echostr": _open,
    "reply.encrypt": _close,
    "callback.verify": _check,
    "raw_aes_cbc": _seal,
}


def own(connector: str, name: str) -> Callable[..., Any] | None:
    """The function ``<module>.<function>`` of a connector's folder, None when there is none."""
    module, _, function = name.partition(".")
    if not registry.folder(connector).joinpath(f"{module}.py").is_file():
        return None
    found: Callable[..., Any] | None = getattr(
        importlib.import_module(f"connectors.{connector}.{module}"), function, None
    )
    return found


def provable(connector: str, vector: Mapping[str, Any]) -> bool:
    """Whether there is code to reproduce this vector with."""
    kind = str(vector["inputs"].get("kind", ""))
    return kind in STOCK or own(connector, kind) is not None


def made(connector: str, vector: Mapping[str, Any]) -> Any:
    """What our code makes of a vector's inputs, in the form of its ``expected``."""
    given, expected = dict(vector["inputs"]), vector["expected"]
    kind, then = str(given.pop("kind")), given.pop("then", None)
    if kind in STOCK:
        return STOCK[kind](given, expected)
    function = own(connector, kind)
    assert function is not None, f"no {kind} in connectors/{connector}"
    found = function(**given)
    if then is not None:
        following = own(connector, then)
        assert following is not None, f"no {then} in connectors/{connector}"
        found = following(found)
    return _plain(found)


def _plain(value: Any) -> Any:
    """Bytes as hex, tuples as lists: the way JSON holds them."""
    if isinstance(value, bytes):
        return value.hex()
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
