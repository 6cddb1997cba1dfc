"""The simulated accounts service: the newer OAuth form of the application's token, a JWT. Flat answers, text codes."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from connectors.core import jsontext

WORDS = {
    20001: "The request is missing a required parameter.",
    20002: "The client secret is invalid.",
    20036: "The specified `grant_type` is not supported.",
    20048: "The specified app does not exist.",
    20070: "Multiple authentication methods were provided. Please only use one to proceed.",
}
Answer = tuple[int, dict[str, Any]]


def refused(code: int, kind: str = "invalid_request") -> Answer:
    """A refusal: the HTTP status and the body."""
    return 400, {"code": str(code), "error": kind, "error_description": WORDS[code]}


def judged(settings: Mapping[str, Any], authorization: str, body: bytes) -> Answer | None:
    """What is wrong with a request for a token (a form, as RFC 6749 has it); None when it is in order."""
    form = {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}
    if authorization and "client_secret" in form:
        return refused(20070)
    if form.get("grant_type") != "client_credentials":
        return refused(20036 if form.get("grant_type") else 20001)
    client, secret = form.get("client_id", ""), form.get("client_secret", "")
    if authorization:
        plain = base64.b64decode(authorization.removeprefix("Basic ")).decode("utf-8", "replace")
        client, _, secret = plain.partition(":")
    if client != settings["app_id"]:
        return refused(20048, "invalid_client")
    return None if secret == settings["app_secret"] else refused(20002, "invalid_client")


def token() -> str:
    """A JWT nobody can read anything from, as long as real ones are."""
    parts = (jsontext.dumps({"alg": "ES256", "typ": "JWT"}), secrets.token_bytes(700), secrets.token_bytes(64))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def given(key: str, left: int) -> Answer:
    return 200, {"code": "0", "access_token": key, "expires_in": left, "token_type": "Bearer"}
