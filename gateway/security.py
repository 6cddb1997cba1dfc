"""Who may do what: passwords, sessions, API tokens, roles, and the one table of permissions.

A browser proves itself by an HttpOnly cookie and, for anything that changes something, the CSRF token it got at
sign-in; a program by ``Authorization: Bearer shn_…``. An operation that the table does not name is denied.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import argon2
from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import problems, storable
from retry_queue.ledger import audit, session, users
from retry_queue.ledger import secrets as sealing

COOKIE = "shuniu_session"
CSRF_HEADER = "x-csrf-token"
TOKEN_PREFIX = "shn_"
TOKEN_BYTES = 20
"""160 bits: nobody guesses it, so a plain digest of it may be kept."""
LONGEST_TOKEN_NAME = 70
"""So that ``token:<name>`` fits where the ledger keeps who did something."""
LIFETIME = 7 * 86400.0
IDLE = 12 * 3600.0
SEEN_EVERY = 60.0
FAILURES = 10
LOCK_SECONDS = 900.0
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 256
NO_PASSWORD = "!"
"""In place of a hash: no password fits, as for people who come through the identity provider."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Parts(Protocol):
    """What of the hub is needed here."""

    @property
    def ledger(self) -> session.Ledger: ...

    @property
    def sealer(self) -> sealing.Sealer: ...

    @property
    def clock(self) -> Callable[[], float]: ...


class Role(IntEnum):
    """Each may do what those below it may."""

    VIEWER = 1  # looks, personal data masked
    OPERATOR = 2  # replays, skips, tests connections, reveals
    EDITOR = 3  # changes the configuration
    OWNER = 4  # people, tokens, audit

    @property
    def slug(self) -> str:
        return self.name.lower()


def role(slug: str) -> Role:
    """A role by its name; raises ValueError."""
    try:
        return Role[slug.upper()]
    except KeyError:
        raise ValueError(f"no role '{slug}'; there are {', '.join(one.slug for one in Role)}") from None


V, OP, ED, OW = Role.VIEWER, Role.OPERATOR, Role.EDITOR, Role.OWNER

PERMISSIONS: dict[str, Role | None] = {
    "session_create": None, "problem_get": None,
    "session_ways": None, "session_oidc_start": None, "session_oidc_callback": None,
    "session_scan_start": None, "session_scan_callback": None,
    "session_get": V, "session_delete": V, "session_password": V,
    "user_list": OW, "user_create": OW, "user_update": OW, "user_delete": OW,
    "token_list": OW, "token_create": OW, "token_delete": OW,
    "connector_list": V, "connector_get": V,
    "declaration_list": V, "declaration_get": V, "declaration_draft": ED,
    "declaration_create": ED, "declaration_update": ED, "declaration_delete": ED,
    "connection_list": V, "connection_get": V, "connection_test": OP, "connection_pause": OP,
    "authorisation_start": ED, "authorisation_finish": None,
    "breaker_open": OP, "breaker_close": OP,
    "connection_create": ED, "connection_update": ED, "connection_delete": ED,
    "connection_enable": ED, "connection_disable": ED, "connection_sandbox": ED,
    "connection_sandbox_order": OP,
    "mapping_list": V, "mapping_get": V, "mapping_preview": ED, "mapping_publish": ED, "mapping_withdraw": ED,
    "mapping_versions": V, "mapping_version": V, "mapping_diff": V, "mapping_rollback": ED,
    "route_list": V, "route_get": V, "route_create": ED, "route_update": ED, "route_delete": ED,
    "route_enable": ED, "route_disable": ED,
    "recipe_list": V, "recipe_get": V, "recipe_preview": ED, "recipe_install": ED,
    "event_list": V, "event_get": V, "event_timeline": V, "event_explain": V, "event_replay": OP,
    "event_editable": V, "event_edit": OP, "event_edits": V,
    "replay_list": V, "replay_get": V, "replay_count": V, "replay_start": OP, "replay_pause": OP, "replay_resume": OP,
    "replay_cancel": OP,
    "delivery_list": V, "delivery_get": V, "delivery_replay": OP, "delivery_replay_many": OP, "delivery_skip": OP,
    "timer_list": V, "timer_get": V, "timer_cancel": OP, "timer_fire": OP,
    "link_find": V, "link_get": V, "link_merge": OP, "link_split": OP,
    "customer_list": V, "customer_get": V, "customer_merge": OP, "customer_split": OP, "customer_erase": OW,
    "match_list": V, "match_accept": OP, "match_refuse": OP,
    "conflict_list": V, "conflict_get": V, "conflict_settle": OP,
    "ledger_balance": V, "ledger_connections": V, "ledger_audit": OP,
    "reconciliation_list": V, "reconciliation_get": V, "reconciliation_schedules": V, "reconciliation_findings": V,
    "reconciliation_export": V, "reconciliation_start": OP, "reconciliation_cancel": OP, "reconciliation_repair": OP,
    "reconciliation_ignore": OP, "reconciliation_schedule_put": ED, "reconciliation_schedule_delete": ED,
    "entity_list": V, "entity_get": V, "entity_put": ED,
    "backfill_list": V, "backfill_get": V, "backfill_offers": V, "backfill_start": OP, "backfill_pause": OP,
    "backfill_resume": OP, "backfill_cancel": OP,
    "quarantine_list": V, "audit_list": OW, "audit_verify": OW, "key_list": OW, "key_rotate": OW,
    "retention_get": V, "retention_put": OW, "backup_get": OW, "backup_create": OW, "installation_get": OW,
    "overview_get": V, "live_listen": V, "failure_list": V, "model_list": V, "model_get": V,
    "sample_list": V, "sample_get": V, "trial_connection": ED, "trial_route": ED,
    "alert_list": V, "alert_get": V, "alert_channels": V, "alert_kinds": V, "alert_trial": ED,
    "alert_put": ED, "alert_delete": ED, "alarm_list": V, "notice_list": V, "alarm_acknowledge": OP,
    "template_list": V, "template_put": ED, "template_delete": ED,
}  # fmt: skip
"""operationId -> the least role that may; None: anybody. What is not here is denied."""
REVEAL = Role.OPERATOR
"""The least role that may see personal data in full."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. ``user_id`` and ``csrf`` only for sessions."""

    name: str
    role: Role
    user_id: int | None = None
    csrf: str | None = None
    digest: str | None = None
    scopes: tuple[str, ...] | None = None
    """Of an API token that may do less than its role: nouns of operations, with ``:read`` only looking."""

    def reaches(self, operation: str, method: str) -> bool:
        """Whether the scopes let an operation through; the role is asked apart."""
        if self.scopes is None:
            return True
        noun = operation.partition("_")[0]
        return noun in self.scopes or (method in SAFE and f"{noun}:read" in self.scopes)


def scopes_there_are() -> frozenset[str]:
    """Every scope that means something."""
    nouns = {operation.partition("_")[0] for operation in PERMISSIONS}
    return frozenset(nouns | {f"{noun}:read" for noun in nouns})


# --- passwords ----------------------------------------------------------------------------------

_hasher = argon2.PasswordHasher()
_threads = ThreadPoolExecutor(4, thread_name_prefix="argon2")
"""Each hash takes 64 MiB and a core for a moment: a flood of sign-ins must not take the machine."""
_nobody = _threads.submit(_hasher.hash, secrets.token_hex(16))
"""Made beside the loading of everything else."""


async def hashed(password: str) -> str:
    """The argon2id hash of a password, made in a thread."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def matches(stored: str | None, password: str) -> bool:
    """Whether a password fits; takes the same time when there is nobody to compare with."""
    fits = await asyncio.get_running_loop().run_in_executor(_threads, _verify, stored, password)
    return fits and stored is not None


def _verify(stored: str | None, password: str) -> bool:
    try:
        return _hasher.verify(stored or _nobody.result(), password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def weakness(password: str, name: str = "") -> problems.Fault | None:
    """What speaks against a password: length is what counts, and it must not be the name."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        zh = f"密码长度应为 {SHORTEST_PASSWORD}–{LONGEST_PASSWORD} 个字符"
        en = f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"
    elif len(set(password)) < 4 or (name and name.lower() in password.lower() and len(password) < len(name) + 6):
        zh, en = "密码过于简单", "the password is too simple"
    else:
        return None
    return problems.Fault("weak_password", zh, en, ("password",))


# --- signing in ---------------------------------------------------------------------------------


def digest(value: str) -> str:
    """What is kept of a cookie or token."""
    return hashlib.sha256(value.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session: the cookie's value exists here only."""

    cookie: str
    principal: Principal


async def sign_in(hub: Parts, name: str, password: str, old_cookie: str | None) -> SignedIn:
    """Checks name and password and opens a fresh session; the old one, if any, ends.

    Raises the same problem whatever is wrong: unknown name, wrong password, disabled, locked.
    """
    now = hub.clock()
    async with hub.ledger.read() as connection:
        found = await users.by_name(connection, name)
    user, stored = found if found is not None else (None, None)
    right = await matches(stored, password)
    refused = problems.Problem(
        "wrong_credentials",
        f"请核对后重试；连续输错 {FAILURES} 次账号会锁定 {int(LOCK_SECONDS // 60)} 分钟",
        f"check both and try again; {FAILURES} wrong tries lock an account for {int(LOCK_SECONDS // 60)} minutes",
    )
    if user is None:
        raise refused
    if not right or user.disabled or user.locked_until > now:
        if not right and user.locked_until <= now:
            async with hub.ledger.write() as connection:
                await users.failed(connection, user.id, now, FAILURES, LOCK_SECONDS)
        raise refused
    fresh = await hashed(password) if stored is not None and _hasher.check_needs_rehash(stored) else None
    async with hub.ledger.write() as connection:
        again = await users.by_name(connection, name)
        if again is None or again[1] != stored or again[0].disabled or again[0].locked_until > now:
            raise refused  # many guesses at once: the lock may have come while this one was being compared
        await users.succeeded(connection, user.id, fresh)
        return await _opened(connection, hub, user, now, old_cookie)


async def sign_in_as(
    hub: Parts, name: str, subject: str, slug: str, old_cookie: str | None, by: str = "oidc"
) -> SignedIn:
    """Opens a session for whom the identity provider named; whoever comes first is added, roles follow their groups.

    Raises users.NameTaken where a person of ours has the name, and Problem for somebody who was disabled.
    """
    now = hub.clock()
    async with hub.ledger.write() as connection:
        user = await users.by_subject(connection, subject)
        if user is None:
            user = await add_user(connection, hub.sealer, name, NO_PASSWORD, slug, now, by)
            await users.belongs_to(connection, user.id, subject)
        elif user.role != slug:
            before, user = user, await users.change(connection, user.id, role=slug)
            assert user is not None
            await users.close_all(connection, user.id)
            told = {"role": slug, "was": before.role}
            await audit.append(connection, hub.sealer, now, by, "user.update", f"user/{user.name}", told)
        if user.disabled:
            raise problems.Problem("sign_in_refused", "该账号已停用", "this account is disabled", why="disabled")
        return await _opened(connection, hub, user, now, old_cookie)


async def _opened(
    connection: AsyncConnection, hub: Parts, user: users.User, now: float, old_cookie: str | None
) -> SignedIn:
    """A fresh session; the one before it in this browser ends."""
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    if old_cookie:
        await users.close_session(connection, digest(old_cookie))
    await users.open_session(connection, digest(cookie), user.id, csrf, now, now + LIFETIME)
    await audit.append(connection, hub.sealer, now, user.name, "session.create", f"user/{user.name}")
    return SignedIn(cookie, Principal(user.name, role(user.role), user.id, csrf, digest(cookie)))


def give_cookie(response: Response, value: str, *, secure: bool) -> None:
    """The session's cookie: not for scripts, not for other sites."""
    response.set_cookie(COOKIE, value, max_age=int(LIFETIME), path="/", httponly=True, samesite="lax", secure=secure)


async def add_user(
    connection: AsyncConnection, sealer: sealing.Sealer, name: str, secret: str, slug: str, now: float, actor: str
) -> users.User:
    """Adds a person and says so in the audit log; ``secret`` is ``hashed(password)``.

    Raises users.NameTaken, ValueError for an unknown role.
    """
    made = await users.add(connection, name, secret, role(slug).slug, now)
    await audit.append(connection, sealer, now, actor, "user.create", f"user/{name}", {"role": slug})
    return made


async def issue_token(
    connection: AsyncConnection,
    sealer: sealing.Sealer,
    name: str,
    slug: str,
    now: float,
    expires_at: float | None,
    actor: str,
    scopes: Sequence[str] | None = None,
) -> tuple[str, users.ApiToken]:
    """A new API token; its value is in the answer and nowhere else."""
    value = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    made = await users.issue(connection, name, digest(value), role(slug).slug, actor, now, expires_at, scopes)
    told = {"name": name, "role": slug, **({} if scopes is None else {"scopes": sorted(set(scopes))})}
    await audit.append(connection, sealer, now, actor, "token.create", f"token/{made.id}", told)
    return value, made


# --- every request ------------------------------------------------------------------------------


async def identify(request: Request, hub: Parts) -> Principal | None:
    """Who asks, or None. A bearer token goes before a cookie."""
    now = hub.clock()
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return await _by_token(hub.ledger, value.strip(), now)
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        return None
    async with hub.ledger.read() as connection:
        found = await users.find_session(connection, digest(cookie), now, IDLE)
    if found is None:
        return None
    if now - found.seen_at > SEEN_EVERY:
        async with hub.ledger.write() as connection:
            await users.seen(connection, found.digest, now)
    return Principal(found.user.name, role(found.user.role), found.user.id, found.csrf, found.digest)


async def _by_token(ledger: session.Ledger, value: str, now: float) -> Principal | None:
    if not value.startswith(TOKEN_PREFIX):
        return None
    async with ledger.read() as connection:
        found = await users.find_token(connection, digest(value), now)
    if found is None:
        return None
    if found.used_at is None or now - found.used_at > SEEN_EVERY:
        async with ledger.write() as connection:
            await users.used(connection, found.id, now)
    return Principal(f"token:{found.name}", role(found.role), scopes=found.scopes)


def gate(hub: Parts) -> Callable[[Request], Awaitable[None]]:
    """The dependency that stands before every operation of the admin API."""

    async def enter(request: Request) -> None:
        request.state.services = hub
        operation = getattr(request.scope.get("route"), "operation_id", None)
        who = await identify(request, hub)
        request.state.principal = who
        if operation not in PERMISSIONS:
            raise problems.Problem("forbidden" if who is not None else "unauthenticated")
        least = PERMISSIONS[operation]
        if least is None:
            await storable.check(request)
            return
        if who is None:
            raise problems.Problem("unauthenticated")
        if who.csrf is not None and request.method not in SAFE:
            given = request.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(given.encode(), who.csrf.encode()):
                raise problems.Problem("csrf")
        if not who.reaches(str(operation), request.method):
            raise problems.Problem("forbidden", "此令牌的范围不含该操作", "this token's scopes do not reach this")
        if who.role < least:
            have, need = who.role.slug, least.slug
            raise problems.Problem("forbidden", f"需要角色 {need}，您是 {have}", f"this needs {need}, you are {have}")
        await storable.check(request)

    return enter


def principal(request: Request) -> Principal:
    """Who asks, behind the gate."""
    found = request.state.principal
    assert isinstance(found, Principal)
    return found
