"""A person agrees in a browser: the page that they are sent to, and what they bring back.

Declared under ``authorise``. Where a platform wants the way there signed, signs the way back, or brings more than a
code, ``signer.py`` has one or both of

``def leaving(query, connection, now) -> dict``            the page's query, made ready (a signature added)
``def returning(given, connection, redirect) -> Mapping``  the parameters of the way back, proven and made plain
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping

from connectors.core import declaration, errors, model, registry, scope, template

_NO_PAGE = {
    "zh": "授权页的地址必须以 http:// 或 https:// 开头：请检查连接里的地址",
    "en": "The page of consent must begin with http:// or https://: check the addresses of the connection",
}


def way(connection: model.Connection) -> declaration.Authorise | None:
    """How this connection is authorised in a browser; None where it is not."""
    spec = connection.declaration.authorise
    return spec if spec is not None and scope.applies(spec.when, scope.settings(connection)) else None


def address(connection: model.Connection, spec: declaration.Authorise, redirect: str, state: str, now: float) -> str:
    """The page on which a person agrees. ``redirect``: where they come back to; ``now`` in Unix seconds.

    Raises Misdeclared: parts of the address may come from the connection, and a browser runs more than web pages.
    """
    filled = scope.of(connection, redirect=redirect, state=state)
    query = {name: str(value) for name, value in (template.render(spec.query, filled) or {}).items()}
    signer = registry.signer(connection.declaration.id)
    if signer is not None and hasattr(signer, "leaving"):
        query = dict(signer.leaving(query, connection, now))
    page = str(template.render(spec.url, filled))
    if urllib.parse.urlsplit(page).scheme not in ("http", "https"):
        raise errors.Misdeclared("no web page to authorise on", hint=_NO_PAGE)
    return f"{page}{'&' if '?' in page else '?'}{urllib.parse.urlencode(query)}"


def found(
    connection: model.Connection, spec: declaration.Authorise, given: Mapping[str, str], redirect: str
) -> dict[str, str]:
    """The secret fields that the way back fills; fewer than declared when the platform gave no consent.

    Raises HookRefused when the parameters are not the platform's.
    """
    signer = registry.signer(connection.declaration.id)
    if signer is not None and hasattr(signer, "returning"):
        given = signer.returning(given, connection, redirect)
    given = {**given, "redirect_uri": redirect}  # exchanging a code often means naming where it came to
    return {field: given[name] for field, name in spec.fills.items() if given.get(name)}
