"""The signature debugger: signs a request as the client would, and shows what was signed.

Signers differ and some are code, so the text is taken where it cannot hide: whatever goes into a digest or HMAC
while the signature is made. Secrets in it read ``***``. For one process at a time and for people only; it is
never on the way of a real call.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from connectors.core import mask, model, plan, registry, scope, signing

_PLAIN = ("md5", "sha1", "sha256", "sha512")


@dataclass(frozen=True, slots=True)
class Proof:
    """One digest that was taken: how, and over what (secrets masked)."""

    algorithm: str
    text: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed request. ``added`` is what signing put on it; everything is masked but the signature itself."""

    connector: str
    operation: str
    scheme: str
    method: str
    url: str
    proofs: tuple[Proof, ...]
    added: dict[str, str]
    body: str
    notes: tuple[str, ...] = field(default=())


def explain(
    connector: str,
    operation: str | None,
    config: Mapping[str, Any],
    secrets: Mapping[str, str],
    given: Mapping[str, Any],
    now: float,
    token: str | None = None,
) -> Signed:
    """Signs one operation (the connector's probe by default).

    Raises registry.UnknownConnector, errors.Misdeclared and other errors of connectors.core.
    """
    spec = registry.get(connector)
    name = operation or spec.probe
    made = plan.of(spec, name)
    opened = model.Connection("debug", spec, dict(config), dict(secrets))
    values = scope.of(opened, input=made.filled(given), now=now, uuid="00000000-0000-4000-8000-000000000000")
    if token is not None:
        values["token"] = token
    request = made.request(values)
    for one in plan.applicable(made, opened):
        # What every call carries may be part of what is signed (a token among the parameters).
        request.query = {**one.query(values), **request.query}
        request.headers = {**one.headers(values), **request.headers}
    before = _parameters(request)
    hide = mask.Mask([*secrets.values(), *([token] if token else [])])
    seen: list[tuple[str, bytes]] = []
    notes = []
    if made.signs:
        with _listening(seen):
            signing.sign(spec.signing.scheme, made.sign_options(values), request, opened, now)
    else:
        notes.append("this operation is not signed / 此接口不签名")
    added = {key: value for key, value in _parameters(request).items() if before.get(key) != value}
    return Signed(
        connector=connector,
        operation=name,
        scheme=spec.signing.scheme,
        method=request.method,
        url=hide.text(request.url),
        proofs=tuple(Proof(how, hide.text(text.decode("utf-8", "replace"))) for how, text in seen),
        added={key: hide.text(value) for key, value in added.items()},
        body=hide.text(signing.payload(request).decode("utf-8", "replace")),
        notes=tuple(notes),
    )


def _parameters(request: model.Request) -> dict[str, str]:
    return {**request.query, **request.headers, **(request.form or {})}


@contextmanager
def _listening(seen: list[tuple[str, bytes]]) -> Iterator[None]:
    """Notes every digest taken through hashlib and hmac until the end of the block."""
    real: dict[str, Callable[..., Any]] = {name: getattr(hashlib, name) for name in _PLAIN}
    new, digest = hmac.new, hmac.digest
    originals = {}

    def plain(name: str) -> Callable[..., Any]:
        def take(data: bytes = b"", **options: Any) -> Any:
            seen.append((name, bytes(data)))
            return real[name](data, **options)

        originals[take] = real[name]
        return take

    def keyed_new(key: bytes, msg: bytes | None = None, digestmod: Any = "") -> Any:
        inner = originals.get(digestmod, digestmod) if callable(digestmod) else digestmod
        seen.append((f"hmac-{inner if isinstance(inner, str) else inner().name}", bytes(msg or b"")))
        return new(key, msg, inner)

    def keyed_digest(key: bytes, msg: bytes, digest_: Any) -> bytes:
        seen.append((f"hmac-{digest_}", bytes(msg)))
        return digest(key, msg, originals.get(digest_, digest_) if callable(digest_) else digest_)

    try:
        for name in _PLAIN:
            setattr(hashlib, name, plain(name))
        hmac.new, hmac.digest = keyed_new, keyed_digest  # type: ignore[assignment]
        yield
    finally:
        for name in _PLAIN:
            setattr(hashlib, name, real[name])
        hmac.new, hmac.digest = new, digest
