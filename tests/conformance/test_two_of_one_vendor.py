"""Two connections of one vendor to its simulator: what the second logs in with takes nothing away from the first."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from connectors.core import auth, client, errors, model, pacing, registry
from connectors.simulator import engine
from tests.conformance import rehearsal

IDS = [id for id in registry.all_ids() if rehearsal.of(id).expire]


async def fitting(http: httpx.AsyncClient, id: str, number: int) -> model.Connection:
    """A connection as the simulator's control panel gives it, which is what the sandbox takes."""
    spec = registry.get(id)
    values: dict[str, Any] = (await http.post(f"/_sim/{id}/connection", json={})).json()["values"]
    given = {one.key: values[one.key] for one in spec.fields if values.get(one.key) not in (None, "")}
    hidden = {one.key: str(given.pop(one.key)) for one in spec.fields if one.secret and one.key in given}
    return model.Connection(f"{id}-{number}", spec, given, hidden)


@pytest.mark.parametrize("id", IDS)
async def test_the_second_connection_took_the_code_of_the_first(id: str) -> None:
    """Codes that work once, and refresh tokens that the next one replaces, were the same for everybody."""
    async with engine.serve([id], time_scale=0.01) as url, httpx.AsyncClient(base_url=str(url)) as http:
        both = [await fitting(http, id, number) for number in (1, 2)]
        calls = [client.Client(auth.MemoryTokens(), pacing.LocalPacer()) for _ in both]
        try:
            for place in (0, 1, 0):
                await calls[place].probe(both[place])
            for step in rehearsal.of(id).expire:
                method, path = str(step.do).split(" ", 1)
                answer = await http.request(method, f"/_sim/{id}{path}", json=step.body or {})
                assert answer.status_code == 200, answer.text
            ended = []
            for place in (0, 1, 0, 1):
                try:
                    await calls[place].probe(both[place])
                    ended.append("")
                except errors.CredentialRefused as error:  # where only a person can give another one
                    ended.append(error.message)
            assert len(set(ended)) == 1, "what the first may, the second may as well"
        finally:
            for one in calls:
                await one.aclose()
