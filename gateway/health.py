"""What a machine and its surroundings must be for the hub to run well: ``shuniu doctor``.

Each part looks at one thing and says one or more lines, also when it is well: what was found, and what to do where it
is not. Looking changes nothing. Addresses are told without passwords, secrets not at all.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import sys
import time
import zoneinfo
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from redis.exceptions import RedisError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from gateway import budget, check, migrate, outside, pages, settings, valkey
from retry_queue import redis_address
from retry_queue.ledger import session, tallies, workers
from retry_queue.sync import site as sites

Lines = AsyncIterator[check.Line]

PATIENCE = 5.0
"""Seconds that anything asked has to answer."""
ALIVE = 30.0
SLOW = 0.05
"""Seconds of one round trip to the database beyond which throughput suffers."""
SKEW = 2.0
FILES = 4096
EXPIRES = 14 * 86400
_LOST: tuple[check.Level, str, str] = ("error", "断电会丢失已确认的数据", "a power cut loses what was confirmed")
OFF: dict[str, tuple[check.Level, str, str]] = {
    "fsync": _LOST,
    "full_page_writes": _LOST,
    "synchronous_commit": _LOST,
    "autovacuum": ("warning", "表会不断膨胀", "tables bloat"),
}
"""What it means that one of these is off at PostgreSQL."""


async def examine(config: settings.Settings) -> list[check.Line]:
    """Everything, in an order a person can follow. Never raises for what it finds."""
    found: list[check.Line] = []
    parts: list[Callable[[settings.Settings], Lines]] = [_machine, _settings, _database, _redis, _doors]
    for part in parts:
        try:
            async with asyncio.timeout(PATIENCE * 6):
                found += [line async for line in part(config)]
        except TimeoutError:
            subject = part.__name__.strip("_")
            found.append(check.Line("error", subject, "在限定时间内没有回答", "did not answer in time"))
    return found


async def _machine(config: settings.Settings) -> Lines:
    here = ".".join(str(part) for part in sys.version_info[:3])
    yield check.Line("info", "python", here, here)
    free = budget.free(config.data_dir)
    said = f"{free / 1024**3:.1f} GiB"
    zh, en = f"{config.data_dir} 可用空间 {said}", f"{said} free in {config.data_dir}"
    if free < budget.FULL:
        yield check.Line(
            "error",
            "disk",
            f"{zh}；请立即清理或扩容，写满后将停止接收",
            f"{en}: make room now, a full disk stops intake",
        )
    elif free < budget.NEARLY:
        yield check.Line("warning", "disk", f"{zh}；请尽快清理或扩容", f"{en}: make room soon")
    else:
        yield check.Line("info", "disk", zh, en)
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        zh = f"每个进程最多打开 {soft} 个文件；高并发时不够，请设为 {FILES} 以上（ulimit -n，systemd：LimitNOFILE=）"
        yield check.Line(
            "warning", "files", zh, f"only {soft} open files per process: raise it to {FILES} (LimitNOFILE=)"
        )
    try:
        zoneinfo.ZoneInfo("Asia/Shanghai")
    except zoneinfo.ZoneInfoNotFoundError:
        yield check.Line("error", "zone", "没有时区数据，请安装 tzdata", "there is no time zone data: install tzdata")
    if pages.built() is None:
        yield check.Line(
            "warning", "ui", "管理界面未构建：./shuniu ui build", "the admin UI is not built: ./shuniu ui build"
        )


async def _settings(config: settings.Settings) -> Lines:
    for name, near in settings.unknown().items():
        zh, en = f"{name} 不是已知的设置", f"{name} means nothing"
        yield check.Line(
            "warning", name, f"{zh}；是否想写 {near}？" if near else zh, f"{en}; did you mean {near}?" if near else en
        )
    key = config.data_dir / "secret_key"
    if key.is_file():
        zh = f"主密钥在 {key}：请另外备份，丢失后已保存的凭据无法解密"
        yield check.Line(
            "info", "secret key", zh, f"the secret key is in {key}: keep a copy elsewhere, credentials die with it"
        )
    place = urlsplit(config.public_url)
    local = place.hostname in {"127.0.0.1", "localhost", "::1"}
    if local:
        zh = "SHUNIU_PUBLIC_URL 是本机地址，外部系统无法推送到这里"
        yield check.Line(
            "warning", "public url", zh, "SHUNIU_PUBLIC_URL is this machine only: no system can push to it"
        )
    elif place.scheme != "https":
        zh = "SHUNIU_PUBLIC_URL 不是 https：登录口令和推送内容会明文传输"
        yield check.Line(
            "warning", "public url", zh, "SHUNIU_PUBLIC_URL is not https: passwords and pushes travel in the clear"
        )


async def _database(config: settings.Settings) -> Lines:
    url = make_url(config.database_url)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not await asyncio.to_thread(Path(url.database or "").is_file):
        yield check.Line(
            "info", "ledger", f"{url.database} 还没有，首次启动时创建", f"{url.database} is made at the first start"
        )
        return
    try:
        async with session.opened(config.database_url, owner="doctor") as ledger:
            async for line in _answering(config, ledger, shown):
                yield line
    except TimeoutError:
        yield check.Line(
            "error", "ledger", f"{shown} {PATIENCE:.0f} 秒内没有回答", f"{shown} did not answer in {PATIENCE:.0f} s"
        )
    except (session.LedgerUnavailable, DBAPIError) as error:
        yield check.Line("error", "ledger", f"{shown} 无法使用：{error}", f"{shown} cannot be used: {error}")


async def _answering(config: settings.Settings, ledger: session.Ledger, shown: str) -> Lines:
    async with asyncio.timeout(PATIENCE):
        before = time.time()
        at = await ledger.now()
        begun = time.perf_counter()
        await ledger.now()
        took = time.perf_counter() - begun
    yield check.Line(
        "info", "ledger", f"{shown}，往返 {took * 1000:.1f} ms", f"{shown}, round trip {took * 1000:.1f} ms"
    )
    if took > SLOW:
        zh = "到数据库的往返太慢，会限制吞吐；请放在同一机房"
        yield check.Line(
            "warning", "ledger", zh, "the database is far away: that limits throughput, keep it in the same room"
        )
    if abs(at - before) > SKEW + took:
        zh = f"本机与数据库的时钟相差 {at - before:+.1f} 秒；请启用 NTP，签名和定时依赖正确的时间"
        en = f"this machine and the database differ by {at - before:+.1f} s: use NTP, signatures and timers need it"
        yield check.Line("error" if abs(at - before) > SKEW * 15 else "warning", "clock", zh, en)
    revision, newest = await migrate.state(config.database_url)
    if revision is not None and revision not in migrate.revisions():
        zh = f"台账结构 {revision} 来自更新的版本：可以运行；要回到该版本直接换回即可"
        yield check.Line("warning", "schema", zh, f"the schema {revision} is a later version's: this one runs on it")
    elif revision != newest:
        zh = f"台账结构 {revision}，需要 {newest}：请运行 shuniu migrate"
        yield check.Line("error", "schema", zh, f"the schema is {revision}, not {newest}: run shuniu migrate")
        return
    async for line in _server(ledger):
        yield line
    async for line in _ledger(ledger):
        yield line
    async for line in _connections(config, ledger):
        yield line


async def _server(ledger: session.Ledger) -> Lines:
    async with ledger.read() as connection:
        if ledger.dialect == "sqlite":
            (mode,) = (await connection.exec_driver_sql("PRAGMA journal_mode")).one()
            (said,) = (await connection.exec_driver_sql("PRAGMA quick_check")).one()
            if said != "ok":
                zh = f"台账文件已损坏（{said}）；请停止枢纽并恢复备份"
                yield check.Line(
                    "error", "ledger", zh, f"the ledger's file is damaged ({said}): stop the hub, restore a backup"
                )
            if str(mode).lower() != "wal":
                yield check.Line(
                    "warning", "ledger", f"journal_mode={mode}，应为 wal", f"journal_mode={mode}, wal is expected"
                )
            return
        rows = await connection.exec_driver_sql(
            "SELECT name, setting FROM pg_settings WHERE name IN"
            " ('fsync', 'full_page_writes', 'synchronous_commit', 'server_version', 'max_connections', 'autovacuum')"
        )
        told = {str(row.name): str(row.setting) for row in rows}
        (taken,) = (await connection.exec_driver_sql("SELECT count(*) FROM pg_stat_activity")).one()
    yield check.Line("info", "postgresql", told["server_version"], told["server_version"])
    for name, (level, zh, en) in OFF.items():
        if told[name] == "off":
            yield check.Line(level, "postgresql", f"{name}=off：{zh}", f"{name}=off: {en}")
    if int(taken) > int(told["max_connections"]) * 0.8:
        zh = f"数据库连接已用 {taken}/{told['max_connections']}"
        yield check.Line("warning", "postgresql", zh, f"{taken} of {told['max_connections']} connections are taken")


async def _ledger(ledger: session.Ledger) -> Lines:
    async with ledger.read() as connection:
        balance = await tallies.balance(connection)
        roles = await workers.alive(connection, ALIVE)
    if balance.difference:
        yield check.Line(
            "error", "balance", f"台账不平：{balance.line()}", f"the ledger does not balance: {balance.line()}"
        )
    else:
        yield check.Line("info", "balance", balance.line(), balance.line())
    if not roles:
        yield check.Line("info", "hub", "没有运行中的进程", "no process is running")
    else:
        if missing := {"api", "worker"} - roles:
            zh, en = f"没有运行的进程：{'、'.join(sorted(missing))}", f"not running: {', '.join(sorted(missing))}"
            yield check.Line("warning", "hub", zh, en)
        yield check.Line("info", "hub", f"运行中：{'、'.join(sorted(roles))}", f"running: {', '.join(sorted(roles))}")


async def _connections(config: settings.Settings, ledger: session.Ledger) -> Lines:
    site = await sites.load(ledger, outside.sealer(config))
    for key, live in site.live.items():
        if live.problem:
            yield check.Line("error", key, live.problem.get("zh", ""), live.problem.get("en", ""))


async def _redis(config: settings.Settings) -> Lines:
    scheme, _, rest = config.redis.partition("://")
    if config.embedded_redis and not config.valkey_socket.exists():
        yield check.Line("info", "redis", "内嵌，随枢纽启动", "embedded, starts with the hub")
        return
    shown = f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"
    client = redis_address.client(config.redis, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    try:
        told = await client.info()
        yield check.Line(
            "info", "redis", f"{shown} {told.get('redis_version', '')}", f"{shown} {told.get('redis_version', '')}"
        )
        await valkey.refuse_evicting(client)
        most, used = int(told.get("maxmemory", 0)), int(told.get("used_memory", 0))
        if most and used > most * 0.8:
            zh, en = f"内存已用 {used * 100 // most}%", f"{used * 100 // most}% of its memory is used"
            yield check.Line("warning", "redis", zh, en)
    except settings.Unusable as error:
        yield check.Line("error", "redis", error.zh, error.en)
    except (RedisError, OSError) as error:
        zh = f"{shown} 无法连接（{type(error).__name__}）；任务会改为定时查找，变慢但不会丢"
        en = f"{shown} cannot be reached ({type(error).__name__}): work is found by looking, slower, nothing is lost"
        yield check.Line("error", "redis", zh, en)
    finally:
        await client.aclose()


async def _doors(config: settings.Settings) -> Lines:
    place = urlsplit(config.public_url)
    try:
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            answer = await client.get(f"{config.public_url}/livez")
        if answer.status_code == httpx.codes.OK:
            yield check.Line("info", "hooks", f"{config.public_url} 可以访问", f"{config.public_url} answers")
        else:
            zh = f"{config.public_url}/livez 回答 {answer.status_code}：反向代理可能没有转发到枢纽"
            yield check.Line(
                "error", "hooks", zh, f"{config.public_url}/livez answers {answer.status_code}: look at the proxy"
            )
    except httpx.HTTPError as error:
        zh = f"从本机无法访问 {config.public_url}（{type(error).__name__}）；枢纽没有运行，或 DNS/代理/防火墙有误"
        en = f"{config.public_url} cannot be reached from here ({type(error).__name__}): is the hub running? DNS, proxy"
        yield check.Line("warning", "hooks", zh, en)
    if place.scheme == "https" and place.hostname:
        yield await asyncio.to_thread(_certificate, place.hostname, place.port or 443)


def _certificate(host: str, port: int) -> check.Line:
    try:
        with (
            socket.create_connection((host, port), PATIENCE) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            told = wrapped.getpeercert() or {}
    except ssl.SSLError as error:
        zh = f"{host} 的证书无效：{error.reason}；厂商会拒绝推送"
        return check.Line("error", "certificate", zh, f"the certificate of {host} is not valid: {error.reason}")
    except OSError as error:
        return check.Line("warning", "certificate", f"{host} 无法连接：{error}", f"{host} cannot be reached: {error}")
    ends = ssl.cert_time_to_seconds(str(told["notAfter"]))
    day = datetime.fromtimestamp(ends, UTC).date().isoformat()
    level: check.Level = "warning" if ends - time.time() < EXPIRES else "info"
    return check.Line(level, "certificate", f"{host} 的证书有效期至 {day}", f"the certificate of {host} ends on {day}")
