"""What a person brings back from authorising in the browser: taken as it is, or exchanged at once for tokens.

A code lives minutes and works once, so the exchange happens while the person waits, and only its result is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from connectors.core import errors, line, mask, model, paths, plan, template, terms

SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Brought:
    """Fields that the connection gets: ``secrets`` and open ``config`` fields."""

    secrets: dict[str, str] = field(repr=False)
    config: dict[str, str] = field(default_factory=dict)


def brought(spec: terms.Authorise, given: Mapping[str, str]) -> Brought | None:
    """What the way back itself holds; None when the platform gave nothing."""
    found = {name: given[parameter] for name, parameter in spec.fills.items() if given.get(parameter)}
    refused = len(found) < len(spec.fills) or (spec.exchange is not None and not given.get(spec.exchange.code))
    return None if refused else Brought(found)


async def exchanged(
    connection: model.Connection, spec: terms.Exchange, code: str, redirect: str, now: float
) -> Brought:
    """The tokens for a code. Raises CredentialRefused with the platform's words, Unavailable, Misdeclared."""
    way = line.Line(connection)
    try:
        known = {**way.scope, "input": {"code": code}, "redirect": redirect}
        request = model.Request(
            spec.method, str(template.render(spec.url, known)), timeout=SECONDS,
            query={name: str(value) for name, value in (template.render(spec.query, known) or {}).items()},
            form={name: str(value) for name, value in template.render(spec.form, known).items()} if spec.form else None,
        )  # fmt: skip
        got = await way.http(request)
    except (line.NotSent, line.NoAnswer) as error:
        raise errors.Unavailable(mask.Mask([*connection.secrets.values(), code]).text(str(error))) from None
    finally:
        await way.aclose()
    read = {name: plan.reader(place)(got.body) for name, place in {**spec.fills, **spec.ends}.items()}
    told = {name: value for name, value in read.items() if value not in (None, "", paths.ABSENT)}
    if got.status != 200 or any(name not in told for name in spec.fills):
        hidden = mask.Mask([*(one for one in connection.secrets.values() if one), code])
        raise errors.CredentialRefused(hidden.text(got.text)[:300] or f"status {got.status}")
    return Brought(
        {name: str(told[name]) for name in spec.fills},
        {name: _moment(connection, now + float(told[name])) for name in spec.ends if name in told},
    )


def _moment(connection: model.Connection, at: float) -> str:
    """A time as the vendor writes it, which is how people enter it."""
    told = connection.declaration.time
    return datetime.fromtimestamp(at, ZoneInfo(told.zone)).strftime(told.format)
