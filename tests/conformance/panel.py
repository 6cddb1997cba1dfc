"""The controls of a simulator, as a person at its panel uses them."""

from __future__ import annotations

from typing import Any

import httpx


async def control(id: str, url: str, path: str, **body: Any) -> Any:
    """Tell simulator ``id`` of the engine at ``url`` to do ``path``; what it answers."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{url}/_sim/{id}/{path.lstrip('/')}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()
