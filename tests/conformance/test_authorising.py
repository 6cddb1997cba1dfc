"""What begins with a person's consent: codes that work once and not for long, and what goes on from them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from connectors.core import auth, client, consent, errors, grant, model, pacing, registry
from connectors.jushuitan import signer as jushuitan
from connectors.shopify import signer as shopify
from connectors.simulator import engine
from tests.conformance import panel


@dataclass
class Place:
    """A platform, and a hub of one process before it."""

    id: str
    url: engine.Url
    store: auth.MemoryTokens
    calls: client.Client

    @property
    def platform(self) -> Any:
        return self.url.simulators[self.id]

    def connection(self, code: str, **config: str) -> model.Connection:
        """One that was authorised with ``code`` and holds nothing else that a token could come from."""
        spec, known = registry.get(self.id), self.platform.settings
        asked = {one.key: known[one.key] for one in spec.fields if not one.secret and one.key in known}
        begun = {"access_token", "refresh_token"}
        secrets = {one.key: str(known[one.key]) for one in spec.fields if one.secret and one.key in known}
        assert spec.authorise is not None
        secrets = {name: value for name, value in secrets.items() if name not in begun}
        secrets |= dict.fromkeys(spec.authorise.fills, code)
        return model.Connection("shop", spec, {"base_url": f"{self.url}/{self.id}", **asked, **config}, secrets)

    async def kept(self) -> model.Token:
        (found,) = [one for place in ("", "#1", "#2") if (one := await self.store.kept(f"shop{place}"))]
        return found

    async def left(self) -> float:
        """Days until a person must agree again."""
        until = grant.granted_until((await self.kept()).extra)
        assert until is not None
        return round((until - self.platform.now()) / 86400, 2)

    async def post(self, path: str, **sent: Any) -> httpx.Response:
        """What somebody else asks of the platform."""
        async with httpx.AsyncClient(trust_env=False) as http:
            return await http.post(f"{self.url}/{self.id}/{path}", **sent)

    async def control(self, path: str, **body: Any) -> Any:
        return await panel.control(self.id, self.url, path, **body)


@contextlib.asynccontextmanager
async def at(id: str) -> AsyncIterator[Place]:
    async with engine.serve([id], time_scale=0.001) as url:
        store = auth.MemoryTokens(lambda: url.simulators[id].now())
        async with contextlib.aclosing(client.Client(store, pacing.LocalPacer(), now=url.simulators[id].now)) as calls:
            yield Place(id, url, store, calls)


async def test_a_tool_of_youzan_goes_on_from_a_shops_code() -> None:
    async with at("youzan") as place:
        known, tokens = place.platform.settings, place.platform.tokens

        async def asked(**more: str) -> int:
            given = {"client_id": known["client_id"], "client_secret": known["client_secret"], **more}
            return int((await place.post("auth/token", json=given)).json()["code"])

        place.platform.configure({"code": "agreed"})
        tool = place.connection("agreed", app_type="tool")
        first = (await place.calls.probe(tool)).exchanges
        assert (await place.kept()).extra["refresh_token"] == tokens.refresh not in repr(first)
        assert "agreed" not in repr(first)
        assert await place.left() == 28
        assert await asked(authorize_type="authorization_code", code="agreed") == 1005, "a code works once"
        before = tokens.refresh
        assert await asked(authorize_type="refresh_token", refresh_token=known["refresh_token"]) == 1004, (
            "the older grant"
        )
        place.platform.ahead = 20 * 86400.0
        assert (await place.calls.probe(tool)).data, "the access token lives a week"
        assert tokens.refresh != before
        assert await place.left() == 28, "each renewal moves the end on"
        assert await asked(authorize_type="refresh_token", refresh_token=before) == 1004
        place.platform.configure({"code": "late"})
        place.platform.ahead += 121
        assert await asked(authorize_type="authorization_code", code="late") == 1005, "two minutes"
        place.platform.ahead += 28 * 86400
        with pytest.raises(errors.CredentialRefused) as over:
            await place.calls.probe(tool)
        assert not over.value.exchange, "the vendor is not asked in vain"


async def test_a_token_of_another_shop_than_the_connections_is_refused() -> None:
    async with at("youzan") as place:
        place.platform.configure({"code": "elsewhere"})
        with pytest.raises(errors.Misdeclared) as wrong:
            await place.calls.probe(place.connection("elsewhere", app_type="tool", kdt_id="999"))
        assert "kdt_id" in wrong.value.hint["zh"]


async def test_an_account_of_weibo_agrees_for_as_long_as_it_says() -> None:
    async with at("weibo") as place:
        place.platform.configure({"redirect_uri": "https://hub.example.com/back", "code": "agreed"})
        ours = place.connection("agreed", reply_url=f"{place.url}/weibo")
        secrets = {**ours.secrets, "redirect_uri": "https://hub.example.com/back"}
        elsewhere = replace(ours, key="elsewhere", secrets={**secrets, "redirect_uri": "https://other.example.com/"})
        with pytest.raises(errors.CredentialRefused) as refused:
            await place.calls.probe(elsewhere)
        assert (refused.value.code, "回调" in refused.value.hint["zh"]) == ("21322", True)
        agreed = replace(ours, secrets=secrets)
        assert (await place.calls.probe(agreed)).data["uid"]
        assert await place.left() == 30
        told = repr((await place.calls.probe(agreed)).exchanges)
        assert (await place.kept()).value not in told
        sent = {"client_id": ours.config["app_key"], "client_secret": secrets["app_secret"]}
        sent |= {"grant_type": "authorization_code", "code": "agreed", "redirect_uri": secrets["redirect_uri"]}
        assert (await place.post("oauth2/access_token", data=sent)).json()["error_code"] == "21325", "once"
        place.platform.ahead = 30 * 86400.0
        with pytest.raises(errors.CredentialRefused) as over:
            await place.calls.probe(agreed)
        assert "重新授权" in over.value.hint["zh"]
        place.platform.configure({"code": "agreed-again"})
        assert (await place.calls.probe(replace(agreed, secrets={**secrets, "code": "agreed-again"}))).data["uid"]
        assert await place.left() == 30


async def test_a_merchant_of_jushuitans_isv_agrees_every_30_days_because_nothing_is_renewed() -> None:
    async with at("jushuitan") as place:
        place.platform.configure({"app_type": "isv"})
        isv = place.connection(place.platform.gate.codes.give(), app_type="isv")
        assert (await place.calls.probe(isv)).data
        assert await place.left() == 29.5, "half a day ahead, as the vendor asks"
        kept = await place.kept()
        with pytest.raises(errors.CredentialRefused):
            await place.calls.probe(replace(isv, key="twice"))
        assert not kept.extra["refresh_token"]
        sent = {"app_key": isv.config["app_key"], "timestamp": str(int(place.platform.now())), "charset": "utf-8"}
        sent |= {"grant_type": "refresh_token", "refresh_token": [*place.platform.gate.renewing][-1], "scope": "all"}
        sent["sign"] = jushuitan.signature(sent, isv.secrets["app_secret"])
        assert (await place.post("openWeb/auth/refreshToken", data=sent)).json()["code"] == 150
        place.platform.ahead = 30 * 86400.0
        with pytest.raises(errors.CredentialRefused) as over:
            await place.calls.probe(isv)
        assert "去授权" in over.value.hint["zh"]
        late = place.platform.gate.codes.give()
        place.platform.ahead += 901
        with pytest.raises(errors.CredentialRefused):
            await place.calls.probe(replace(isv, secrets={**isv.secrets, "auth_code": late}))
        again = replace(isv, secrets={**isv.secrets, "auth_code": place.platform.gate.codes.give()})
        assert (await place.calls.probe(again)).data
        assert await place.left() == 29.5
        assert (await place.kept()).value != kept.value


async def test_a_shop_of_shopify_lets_an_app_in_and_each_refresh_token_works_once() -> None:
    async with at("shopify") as place:
        place.platform.configure({"code": "agreed"})
        shop = place.connection("agreed", authorisation="code")
        said = repr((await place.calls.probe(shop)).exchanges)
        first = await place.kept()
        assert await place.left() == 90
        assert not [hidden for hidden in (first.value, first.extra["refresh_token"], "agreed") if hidden in said]
        place.platform.ahead = 3600.0
        assert (await place.calls.probe(shop)).data, "the token lives an hour"
        second = await place.kept()
        assert second.extra["refresh_token"] != first.extra["refresh_token"]
        client_of = {"client_id": shop.config["client_id"], "client_secret": shop.secrets["client_secret"]}
        for used in (
            {"code": "agreed"},
            {"grant_type": "refresh_token", "refresh_token": first.extra["refresh_token"]},
        ):
            answer = await place.post("admin/oauth/access_token", data={**client_of, **used})
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        await place.control("/tokens/expire")
        assert (await place.calls.probe(shop)).data, "a refused token is renewed at once"
        place.platform.tokens.refresh.clear()
        await place.control("/tokens/expire")
        with pytest.raises(errors.CredentialRefused) as removed:
            await place.calls.probe(shop)
        assert "重新授权" in removed.value.hint["zh"]
        place.platform.configure({"code": "agreed-again"})
        assert (await place.calls.probe(replace(shop, secrets={**shop.secrets, "code": "agreed-again"}))).data


BACK = {"code": "c1", "shop": "shuniu-demo.myshopify.com", "state": "s", "timestamp": "1337178173", "host": "x"}


@pytest.mark.parametrize("change", [{}, {"shop": "other.myshopify.com"}, {"shop": "evil.example.com"}, {"hmac": ""}])
async def test_only_the_connections_own_shop_comes_back_to_it(change: dict[str, str]) -> None:
    async with at("shopify") as place:
        shop = place.connection("", authorisation="code")
        way = consent.way(shop)
        assert way is not None
        brought = {**BACK, **change}
        signed = {**brought, **shopify.query_signature(shop.secrets["client_secret"], brought), **change}
        if not change:
            assert consent.found(shop, way, signed, "https://hub.example.com/back") == {"code": "c1"}
            signed["code"] = "c2"
        with pytest.raises(errors.HookRefused):
            consent.found(shop, way, signed, "https://hub.example.com/back")
