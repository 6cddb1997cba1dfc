"""Secrets of connections that live outside: where they may be, that they stay fresh, and that nobody is shown them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog.testing

from gateway import hub, hub_export, hub_file, outside, references, settings, wiring
from retry_queue.ledger import audit, connections, sandbox, secrets
from retry_queue.ledger.states import ConnectionState
from tests import web
from tests.unit.gateway import desk as desks

CANARY, NEXT = "canary-of-the-shop", "canary-after-the-change"
VAULT_TOKEN = "hvs.canary-of-vault"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shops"
    made.mkdir()
    (made / "tmall").write_text(CANARY + "\n")
    (tmp_path / "hub_key").write_text(desks.MASTER)
    (made / "link").symlink_to(tmp_path / "hub_key")
    (made / "inner").symlink_to(made / "tmall")
    return made


def test_where_a_reference_may_lead(folder: Path) -> None:
    sources = [f"file:{folder}", "vault:kv/shops", "env:SHOP_*", "env:CRM_KEY", "env:SHUNIU_*"]
    good = [f"file:{folder}/tmall", f"file:{folder}/inner", f"file:{folder}/../shops/tmall", "vault:kv/shops/tmall#k",
            "vault:kv/shops#k", "env:SHOP_A", "env:CRM_KEY"]  # fmt: skip
    bad = [
        f"file:{folder}/link", f"file:{folder}/../hub_key", f"file:{folder}x/tmall", "file:tmall", "file:/etc/passwd",
        f"file:{folder}/a\x00b", "vault:kv/shopsx/a#k", "vault:kv/shops/../admin#k", "vault:kv/shops/%2e%2e/admin#k",
        "vault:kv/shops/a?list=true#k", "vault:kv/shops/a", "vault:kv//shops#k", "vault:kv#k", "env:CRM_KEYS",
        "env:PATH", "env:SHUNIU_SECRET_KEY", "env:shuniu_secret_key", "env:SHOP A", "plain", "",
    ]  # fmt: skip
    assert [one for one in good if not outside.allowed(one, sources)] == []
    assert [one for one in bad if outside.allowed(one, sources)] == []
    assert not any(outside.allowed(one, ()) for one in good), "nothing is open unless the operator says so"


def test_settings_say_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SHUNIU_SECRET_SOURCES", "file:/run/secrets/shops, vault:kv/shops env:SHOP_*")
    assert settings.load().secret_sources == ("file:/run/secrets/shops", "vault:kv/shops", "env:SHOP_*")
    for wrong in ("/run/secrets", "file:shops", "vault:/x", "env:*", "http://x"):
        monkeypatch.setenv("SHUNIU_SECRET_SOURCES", wrong)
        with pytest.raises(settings.Unusable, match="SHUNIU_SECRET_SOURCES"):
            settings.load()


async def test_what_is_no_secret_of_a_system_is_not_read(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "large").write_bytes(b"x" * (outside.LARGEST + 1))
    (folder / "empty").write_text("\n")
    (folder / "binary").write_bytes(b"\xff\xfe")
    (folder / "master").write_text(desks.MASTER + "\n")
    (folder / "password").write_text("p 4ss")
    config = settings.Settings(
        data_dir=folder, secret_key=desks.MASTER, secret_sources=f"file:{folder}",
        database_url="postgresql://u:p%204ss@db/x",
    )  # fmt: skip
    made = outside.of(config)
    names = ("pipe", "large", "empty", "binary", "none", "master", "password", "tmall")
    await made.read(f"file:{folder}/{name}" for name in names)
    for name in names[:-1]:
        said = made.fault(f"file:{folder}/{name}")
        assert said is not None, name
        assert said.zh
        with pytest.raises(secrets.SecretUnreadable):
            made.value(f"file:{folder}/{name}")
    assert "own secret" in str(made.fault(f"file:{folder}/master"))
    assert "own secret" in str(made.fault(f"file:{folder}/password"))
    assert made.value(f"file:{folder}/tmall") == CANARY
    assert CANARY not in repr(made)
    made.close()


class Vault(web.Page):
    """KV version 2 with one secret that changes, and a switch to be away."""

    key = CANARY
    status = 200
    asked = 0

    def do_GET(self) -> None:
        Vault.asked += 1
        fits = self.headers.get("X-Vault-Token") == VAULT_TOKEN and self.path == "/v1/kv/data/shops/tmall"
        body = {"data": {"data": {"app_secret": Vault.key}, "metadata": {"version": 1}}}
        self.say(Vault.status if fits else 403, json.dumps(body).encode())


@pytest.fixture
def vault() -> Iterator[str]:
    Vault.key, Vault.status, Vault.asked = CANARY, 200, 0
    with web.serving(Vault) as url:
        yield url


async def test_vault_is_asked_now_and_then_and_what_is_known_outlives_it(vault: str) -> None:
    clock = desks.Clock()
    place = references.Vault(vault, VAULT_TOKEN)
    found = outside.Outside(["vault:kv/shops"], vault=lambda: place, clock=clock)
    one = "vault:kv/shops/tmall#app_secret"
    await found.look([one])
    assert (found.value(one), await found.renew([one])) == (CANARY, False)
    Vault.key = NEXT
    for ahead, soon, news, known in ((10, False, False, CANARY), (60, False, True, NEXT), (6, True, False, NEXT)):
        clock.ahead += ahead
        assert (await found.renew([one], soon=soon), found.value(one)) == (news, known)
    assert Vault.asked == 3, "between times nobody asked"
    place = references.Vault("http://127.0.0.1:1", VAULT_TOKEN)
    clock.ahead += 61
    with structlog.testing.capture_logs() as said:
        assert await found.renew([one]) is False
    assert found.value(one) == NEXT
    assert [line["event"] for line in said] == ["secret.unread"]
    assert not {CANARY, NEXT, VAULT_TOKEN} & {word for line in said for word in str(line).split()}
    place, Vault.key = references.Vault(vault, VAULT_TOKEN), "third"
    clock.ahead += 6  # it did not answer: it is asked again sooner
    assert (await found.renew([one]), found.value(one)) == (True, "third")
    clock.ahead += 61
    await found.renew([])
    with pytest.raises(secrets.SecretUnreadable):
        found.value(one)
    found.close()


async def test_a_connection_refers_to_its_secret(database_url: str, tmp_path: Path, folder: Path) -> None:
    where = f"file:{folder}/tmall"
    async with desks.opened(database_url, tmp_path, secret_sources=f"file:{folder}") as desk:
        found = outside.of(desk.hub.settings)
        desk.hub.sealer.outside = found
        body = desks.SHOP | {"secrets": {"hook_secret": where}}
        for role in ("viewer", "operator"):
            assert (await (await desk.as_(role)).post("/connections", json=body)).status_code == 403
            assert (await (await desk.as_(role)).post("/trials/connection", json=body)).status_code == 403
        editor = await desk.as_("editor")
        for elsewhere in (f"file:{folder}/link", "file:/etc/hostname", f"file:{folder}/none", "env:HOME"):
            refused = await editor.post("/connections", json=body | {"secrets": {"hook_secret": elsewhere}})
            (fault,) = desks.problem(refused, 422, "invalid")["errors"]
            assert (fault["pointer"], fault["code"]) == ("/secrets/hook_secret", "reference")
            assert desks.MASTER not in refused.text
        answer = await editor.post("/connections", json=body)
        assert answer.status_code == 201, answer.text
        shown = answer.json()
        assert (shown["secrets"], shown["references"], shown["missing"]) == (
            ["hook_secret"],
            {"hook_secret": where},
            [],
        )
        row = await stored(desk)
        assert (row.kept(desk.hub.sealer), row.opened(desk.hub.sealer)) == (
            {"hook_secret": where},
            {"hook_secret": CANARY},
        )
        assert where not in row.sealed["hook_secret"]
        assert desk.site is not None
        assert desk.site.live["shop"].opened is not None
        assert desk.site.live["shop"].opened.secrets == {"hook_secret": CANARY}

        (folder / "tmall").write_text(NEXT)
        await found.read([where])
        await desk.reload()
        opened = desk.site.live["shop"].opened
        assert opened is not None
        assert opened.secrets == {"hook_secret": NEXT}
        seen = [await editor.get(path) for path in ("/connections", "/connections/shop")]
        seen += [await (await desk.as_("owner")).get("/audit?limit=50"), answer]
        assert not [one.text for one in seen if CANARY in one.text or NEXT in one.text]

        text, needed = await hub_export.export(desk.ledger, desk.hub.sealer)
        assert where in text
        assert needed == []
        assert NEXT not in text
        draft = hub_file.read(text, "hub.yaml")
        assert draft.problems == []
        assert await hub.diff(desk.ledger, desk.hub.sealer, draft) == []
        draft = hub_file.read(text.replace(where, "literal-now"), "hub.yaml")
        changed = await hub.apply(desk.ledger, desk.hub.sealer, draft, actor="test")
        assert [one.line for one in changed]
        assert "literal-now" not in str(changed)
        assert (await stored(desk)).opened(desk.hub.sealer) == {"hook_secret": "literal-now"}
        await hub.apply(desk.ledger, desk.hub.sealer, hub_file.read(text, "hub.yaml"), actor="test")

        async with desk.ledger.write() as db:  # what a simulator puts aside is the reference
            row = await stored(desk)
            await sandbox.enter(db, desk.hub.sealer, row, {}, {"hook_secret": "x"}, ConnectionState.ENABLED, 1.0)
        assert ((await stored(desk)).opened(desk.hub.sealer), (await stored(desk)).references(desk.hub.sealer)) == (
            {"hook_secret": "x"}, {},
        )  # fmt: skip
        assert (await hub_export.export(desk.ledger, desk.hub.sealer))[0] == text
        async with desk.ledger.write() as db:
            await sandbox.leave(db, desk.hub.sealer, await stored(desk), 2.0)
        assert (await stored(desk)).kept(desk.hub.sealer) == {"hook_secret": where}

        now = (await editor.get("/connections/shop")).json()
        change = {"config": now["config"], "secrets": {"hook_secret": "typed-in"}, "overlap_hours": 1}
        answer = await editor.put("/connections/shop", json=change, headers={"if-match": now["etag"]})
        assert (answer.json()["references"], len(answer.json()["former_secrets"])) == ({}, 1)
        row = await stored(desk)
        assert {name: value for name, (value, _) in row.formers(desk.hub.sealer, 0.0).items()} == {"hook_secret": NEXT}
        found.close()


async def stored(desk: desks.Desk) -> connections.Row:
    async with desk.ledger.read() as db:
        row = await connections.get(db, "shop")
    assert row is not None
    return row


async def test_a_process_takes_up_what_changed_and_goes_on_after_a_refusal(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    monkeypatch.setattr(outside, "FILE_SECONDS", 0.05)
    where = f"file:{folder}/tmall"
    async with desks.opened(sqlite_url, tmp_path) as desk:
        config = desk.hub.settings.model_copy(update={"secret_sources": (f"file:{folder}",)})
        running = await wiring.build(config, "test")
        async with running.ledger.write() as db:
            await connections.put(
                db, running.sealer, "shop", "http", desks.SHOP["config"], {"hook_secret": where},
                ConnectionState.ENABLED, 1.0, referred={"hook_secret"},
            )  # fmt: skip
        await running.reload()

        def secret() -> str:
            live = running.site.live["shop"]
            return live.opened.secrets["hook_secret"] if live.opened is not None else ""

        async def until(holds: object) -> None:
            async with asyncio.timeout(20):
                while not holds():  # type: ignore[operator]
                    await asyncio.sleep(0.02)

        assert secret() == CANARY
        following = asyncio.create_task(wiring.follow(running))
        (folder / "tmall").write_text(NEXT)
        await until(lambda: secret() == NEXT)
        async with running.ledger.write() as db:  # a call that was under way with the secret before
            assert await connections.refuse(db, "shop", {"zh": "拒绝", "en": "refused"})
        await running.reload()
        await until(lambda: running.site.live["shop"].state is ConnectionState.ENABLED)
        async with running.ledger.write() as db:  # and with this one too: now it waits for another
            assert await connections.refuse(db, "shop", {"zh": "拒绝", "en": "refused"})
        await running.reload()
        await asyncio.sleep(0.4)
        assert running.site.live["shop"].state is ConnectionState.NEEDS_AUTH
        (folder / "tmall").unlink()
        await asyncio.sleep(0.2)
        assert secret() == NEXT, "what is known goes on counting"
        (folder / "tmall").write_text("third")
        await until(lambda: running.site.live["shop"].state is ConnectionState.ENABLED and secret() == "third")
        async with running.ledger.read() as db:
            told = [one.action for one in await audit.search(db, limit=9)]
        assert told == ["connection.enabled"] * 2
        running.stopped.set()
        await following
        await running.close()
