"""Secrets that live elsewhere: ``file:/run/secrets/key`` and ``vault:mount/path#field`` in place of a value.

For settings of the operator and for ``hub.yaml``, which are read on the operator's machine; what came over the network
is looked up by ``outside`` only, within what the operator allowed. Vault is asked by its HTTP API for KV version 2; the
address is the operator's own and may be private.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gateway import refusal

LARGEST = 1024 * 1024
SECONDS = 10.0
Source = Annotated[
    str, Field(pattern=r"^(file:/[^\s,]*|vault:[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*|env:[A-Za-z_][A-Za-z0-9_]*\*?)$")
]
"""A place in which connections may find secrets: a folder, a path of Vault, a variable (``*`` at its end: all such)."""
_KINDS = re.compile(r"(file|vault):(.+)", re.DOTALL)


class Unusable(refusal.Refused):
    """The configuration cannot be used; ``str()`` says what to set, a line for each language."""

    def __str__(self) -> str:
        return f"{self.zh}\n{self.en}"


class Unreachable(Unusable):
    """Vault does not answer at all."""


@dataclass(frozen=True, slots=True)
class Vault:
    """Where Vault is and how it knows us. ``token`` is never shown."""

    address: str
    token: str
    namespace: str = ""

    def __repr__(self) -> str:
        return f"Vault({self.address})"


def is_one(text: str) -> bool:
    """Whether a value says where the real one is."""
    return _KINDS.fullmatch(text) is not None


def resolved(text: str, vault: Vault | None) -> str:
    """The value that a reference names; any other text is its own value.

    Raises Unusable, which names the reference and never a value.
    """
    found = _KINDS.fullmatch(text.strip())
    if found is None:
        return text
    return _file(found[2]) if found[1] == "file" else _vault(found[2], vault)


def _file(name: str) -> str:
    try:
        data = Path(name).read_bytes()[:LARGEST]
        return data.decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise Unusable(f"无法读取密钥文件 {name}（{why}）", f"the secret file {name} cannot be read ({why})") from None


def _vault(where: str, vault: Vault | None) -> str:
    path, mark, name = where.partition("#")
    mount, _, rest = path.strip("/").partition("/")
    if not mark or not rest or not name or ".." in path.split("/"):
        raise Unusable(
            f"vault:{where} 应写成 vault:挂载点/路径#字段", f"vault:{where} should read vault:mount/path#field"
        )
    if vault is None or not vault.address or not vault.token:
        raise Unusable(
            f"引用了 vault:{where}，但没有设置 SHUNIU_VAULT_ADDR 和 SHUNIU_VAULT_TOKEN",
            f"vault:{where} is named, but SHUNIU_VAULT_ADDR and SHUNIU_VAULT_TOKEN are not set",
        )
    import httpx  # only who keeps secrets in Vault needs it here

    headers = {"X-Vault-Token": vault.token} | ({"X-Vault-Namespace": vault.namespace} if vault.namespace else {})
    url = f"{vault.address.rstrip('/')}/v1/{mount}/data/{rest}"
    try:
        with httpx.Client(timeout=SECONDS, trust_env=False, follow_redirects=False) as client:
            answer = client.get(url, headers=headers)
        found = answer.json()["data"]["data"] if answer.status_code == 200 else None
    except httpx.TransportError as error:
        raise Unreachable(*_unread(where, type(error).__name__)) from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise Unusable(*_unread(where, type(error).__name__)) from None
    if found is None:
        raise Unusable(*_unread(where, f"HTTP {answer.status_code}"))
    if not isinstance(found, dict) or not isinstance(found.get(name), str):
        raise Unusable(*_unread(where, f"no field {name}"))
    return str(found[name])


def _unread(where: str, why: str) -> tuple[str, str]:
    return f"无法从 Vault 读取 {where}（{why}）", f"{where} cannot be read from Vault ({why})"
