"""People, their sessions, and API tokens. Only digests of cookies and tokens are kept, never the values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import tables

U, S, T = tables.users, tables.sessions, tables.api_tokens


class NameTaken(Exception):
    """Somebody has this name already."""


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in. Times are Unix seconds."""

    id: int
    name: str
    role: str
    disabled: bool
    failures: int
    locked_until: float
    created_at: float


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser with the person behind it."""

    digest: str
    user: User
    csrf: str
    created_at: float
    expires_at: float
    seen_at: float


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token for programs; the token itself is shown once and not kept."""

    id: int
    name: str
    role: str
    created_by: str
    created_at: float
    expires_at: float | None
    used_at: float | None
    revoked_at: float | None
    scopes: tuple[str, ...] | None = None
    """What it may touch, within its role; None: whatever the role may."""


_USER = (U.c.id, U.c.name, U.c.role, U.c.disabled, U.c.failures, U.c.locked_until, U.c.created_at)
_TOKEN = (
    T.c.id, T.c.name, T.c.role, T.c.created_by, T.c.created_at, T.c.expires_at, T.c.used_at, T.c.revoked_at,
    T.c.scopes,
)  # fmt: skip


def _token(row: Any) -> ApiToken:
    values = list(row)
    values[-1] = None if values[-1] is None else tuple(json.loads(values[-1]))
    return ApiToken(*values)


def _user(row: Any) -> User:
    return User(row.id, row.name, row.role, bool(row.disabled), row.failures, row.locked_until, row.created_at)


# --- people -------------------------------------------------------------------------------------


async def by_subject(connection: AsyncConnection, subject: str) -> User | None:
    """Whom the identity provider means."""
    row = (await connection.execute(select(*_USER).where(U.c.subject == subject))).first()
    return None if row is None else _user(row)


async def belongs_to(connection: AsyncConnection, user_id: int, subject: str) -> None:
    """Remembers who a person is to the identity provider."""
    await connection.execute(update(U).where(U.c.id == user_id).values(subject=subject))


async def all_rows(connection: AsyncConnection) -> list[User]:
    """Everybody, by name."""
    return [_user(row) for row in await connection.execute(select(*_USER).order_by(U.c.name))]


async def get(connection: AsyncConnection, user_id: int) -> User | None:
    row = (await connection.execute(select(*_USER).where(U.c.id == user_id))).first()
    return None if row is None else _user(row)


async def by_name(connection: AsyncConnection, name: str) -> tuple[User, str] | None:
    """A person and the hash of their password."""
    row = (await connection.execute(select(*_USER, U.c.password).where(U.c.name == name))).first()
    return None if row is None else (_user(row), row.password)


async def password_of(connection: AsyncConnection, user_id: int) -> str | None:
    """The hash of a person's password."""
    found = (await connection.execute(select(U.c.password).where(U.c.id == user_id))).scalar()
    return None if found is None else str(found)


async def add(connection: AsyncConnection, name: str, password: str, role: str, now: float) -> User:
    """Adds a person; ``password`` is a hash. Raises NameTaken."""
    query = insert(U).values(name=name, password=password, role=role, disabled=False, created_at=now).returning(*_USER)
    try:
        async with connection.begin_nested():
            return _user((await connection.execute(query)).one())
    except IntegrityError:
        raise NameTaken(name) from None


async def change(
    connection: AsyncConnection,
    user_id: int,
    *,
    password: str | None = None,
    role: str | None = None,
    disabled: bool | None = None,
) -> User | None:
    """Changes what is given; None when there is no such person. A new password also ends a lock."""
    values: dict[str, Any] = {}
    if password is not None:
        values |= {"password": password, "failures": 0, "locked_until": 0.0}
    if role is not None:
        values["role"] = role
    if disabled is not None:
        values["disabled"] = disabled
    if values:
        await connection.execute(update(U).where(U.c.id == user_id).values(**values))
    return await get(connection, user_id)


async def remove(connection: AsyncConnection, user_id: int) -> None:
    """Removes a person with their sessions."""
    await close_all(connection, user_id)
    await connection.execute(delete(U).where(U.c.id == user_id))


async def others_of(connection: AsyncConnection, role: str, user_id: int) -> int:
    """How many other people with this role can sign in."""
    query = select(func.count()).select_from(U).where(U.c.role == role, U.c.disabled.is_(False), U.c.id != user_id)
    return int((await connection.execute(query)).scalar_one())


async def failed(connection: AsyncConnection, user_id: int, now: float, limit: int, seconds: float) -> None:
    """Counts a wrong password; every ``limit`` of them lock the account for ``seconds``."""
    locks = (U.c.failures + 1) >= limit
    await connection.execute(
        update(U)
        .where(U.c.id == user_id)
        .values(
            failures=case((locks, 0), else_=U.c.failures + 1),
            locked_until=case((locks, now + seconds), else_=U.c.locked_until),
        )
    )


async def succeeded(connection: AsyncConnection, user_id: int, password: str | None = None) -> None:
    """Forgets failures; ``password`` replaces a hash made with older parameters."""
    values: dict[str, Any] = {"failures": 0, "locked_until": 0.0}
    if password is not None:
        values["password"] = password
    await connection.execute(update(U).where(U.c.id == user_id).values(**values))


# --- sessions -----------------------------------------------------------------------------------


async def open_session(
    connection: AsyncConnection, digest: str, user_id: int, csrf: str, now: float, expires_at: float
) -> None:
    """Opens a session and drops those that are over."""
    await connection.execute(delete(S).where(S.c.expires_at < now))
    await connection.execute(
        insert(S).values(digest=digest, user_id=user_id, csrf=csrf, created_at=now, expires_at=expires_at, seen_at=now)
    )


async def find_session(connection: AsyncConnection, digest: str, now: float, idle: float) -> Session | None:
    """A session that is neither over, nor idle for ``idle`` seconds, nor of somebody who was disabled."""
    query = (
        select(*_USER, S.c.digest, S.c.csrf, S.c.created_at.label("began"), S.c.expires_at, S.c.seen_at)
        .join(U, U.c.id == S.c.user_id)
        .where(S.c.digest == digest, S.c.expires_at > now, S.c.seen_at > now - idle, U.c.disabled.is_(False))
    )
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    return Session(row.digest, _user(row), row.csrf, row.began, row.expires_at, row.seen_at)


async def seen(connection: AsyncConnection, digest: str, now: float) -> None:
    await connection.execute(update(S).where(S.c.digest == digest).values(seen_at=now))


async def close_session(connection: AsyncConnection, digest: str) -> None:
    await connection.execute(delete(S).where(S.c.digest == digest))


async def close_all(connection: AsyncConnection, user_id: int) -> None:
    """Signs a person out everywhere."""
    await connection.execute(delete(S).where(S.c.user_id == user_id))


# --- tokens for programs ------------------------------------------------------------------------


async def tokens(connection: AsyncConnection) -> list[ApiToken]:
    """Every token that was not revoked, oldest first."""
    rows = await connection.execute(select(*_TOKEN).where(T.c.revoked_at.is_(None)).order_by(T.c.id))
    return [_token(row) for row in rows]


async def issue(
    connection: AsyncConnection,
    name: str,
    digest: str,
    role: str,
    created_by: str,
    now: float,
    expires_at: float | None,
    scopes: Sequence[str] | None = None,
) -> ApiToken:
    """Keeps a new token by its digest; ``expires_at`` None means it does not end by itself."""
    told = None if scopes is None else json.dumps(sorted(set(scopes)))
    query = (
        insert(T)
        .values(
            name=name, digest=digest, role=role, created_by=created_by, created_at=now, expires_at=expires_at,
            scopes=told,
        )
        .returning(*_TOKEN)
    )  # fmt: skip
    return _token((await connection.execute(query)).one())


async def find_token(connection: AsyncConnection, digest: str, now: float) -> ApiToken | None:
    """A token in force."""
    query = select(*_TOKEN).where(
        T.c.digest == digest, T.c.revoked_at.is_(None), (T.c.expires_at.is_(None)) | (T.c.expires_at > now)
    )
    row = (await connection.execute(query)).first()
    return None if row is None else _token(row)


async def used(connection: AsyncConnection, token_id: int, now: float) -> None:
    await connection.execute(update(T).where(T.c.id == token_id).values(used_at=now))


async def revoke(connection: AsyncConnection, token_id: int, now: float) -> bool:
    """Ends a token; False when there is none in force."""
    query = update(T).where(T.c.id == token_id, T.c.revoked_at.is_(None)).values(revoked_at=now).returning(T.c.id)
    return (await connection.execute(query)).first() is not None
