"""Every connector under its simulator's faults: slow, throttled, expired, garbled, replies lost after the commit."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from connectors.core import declaration, errors, login, plan, scope
from tests.conformance import rehearsal, ruling
from tests.conformance.ruling import Problem, dynamic

THROTTLED = dynamic("throttling_is_understood")
GARBLED = dynamic("garbage_is_no_success")
LOST = dynamic("a_lost_reply_doubles_nothing")
RENEWED = dynamic("an_ended_token_is_renewed_once")
ENOUGH = 20
"""More calls than any operation makes, tries included."""

KEY = declaration.Idempotency.KEY
CALLABLE = [
    (id, name)
    for id in ruling.IDS
    for name in ruling.folder(id).spec.operations
    if not rehearsal.of(id).calls.get(name, rehearsal.Call()).through
]
CHANGING = [(id, name) for id, name in CALLABLE if ruling.folder(id).spec.operations[name].kind in ("write", "act")]
every_operation = pytest.mark.parametrize(("id", "operation"), CALLABLE, ids=[f"{a}-{b}" for a, b in CALLABLE])
every_change = pytest.mark.parametrize(("id", "operation"), CHANGING, ids=[f"{a}-{b}" for a, b in CHANGING])
every_connector = pytest.mark.parametrize("id", ruling.IDS)


@every_connector
async def test_a_slow_answer_is_still_an_answer(id: str) -> None:
    async with rehearsal.stage(id) as stage:
        connection = stage.connection()
        await stage.caller.probe(connection)
        stage.simulator.faults.latency = 0.2
        begun = time.monotonic()
        assert (await stage.caller.probe(connection)).exchanges[-1].duration >= 0.2
        assert time.monotonic() - begun < 5


@every_operation
async def test_throttling_in_the_vendors_words_is_understood(id: str, operation: str) -> None:
    async with rehearsal.stage(id) as stage:
        await stage.warm(operation)
        connection, given = await stage.prepared(operation)
        before = stage.effects()
        stage.simulator.faults.throttle = ENOUGH
        problems = []
        try:
            await stage.call(connection, operation, given)
            problems.append(Problem(operation, "a throttled call was taken for a success"))
        except errors.Throttled as error:
            if not (error.hint.get("zh") and error.hint.get("en")):
                problems.append(Problem(operation, "no hint for people"))
        except errors.ConnectorError as error:
            problems.append(Problem(operation, f"throttled, but read as {type(error).__name__}: {error}"))
        assert stage.effects() == before
        ruling.settle(id, THROTTLED, problems, about=operation)


@every_operation
async def test_a_web_page_with_status_200_is_no_success(id: str, operation: str) -> None:
    async with rehearsal.stage(id) as stage:
        await stage.warm(operation)
        connection, given = await stage.prepared(operation)
        spec = stage.spec.operations[operation]
        safe = plan.of(stage.spec, operation).safe if spec.flow is None else _looks_first(spec.flow)
        stage.simulator.faults.garbage = ENOUGH
        problems = []
        try:
            await stage.call(connection, operation, given)
            problems.append(Problem(operation, "a web page was taken for a success"))
        except (errors.Unavailable, errors.OutcomeUnknown) as error:
            # A guard is asked first: nothing was sent when its answer is garbage.
            if isinstance(error, errors.Unavailable) is not (safe or spec.guard is not None):
                wanted = "Unavailable" if safe else "OutcomeUnknown"
                problems.append(Problem(operation, f"{type(error).__name__}, must be {wanted}"))
        except errors.ConnectorError as error:
            problems.append(Problem(operation, f"says nothing for certain, but read as {type(error).__name__}"))
        ruling.settle(id, GARBLED, problems, about=operation)


def _looks_first(flow: declaration.Flow) -> bool:
    """Whether even a fresh run begins by asking: nothing was sent when that answer is garbage."""
    return flow.ask or not any("absent" in step.when for step in flow.steps)


async def _clean(id: str, operation: str) -> list[tuple[str, str]]:
    async with rehearsal.stage(id) as stage:
        return (await stage.rehearse(operation)).effects


@every_change
async def test_a_reply_lost_after_the_commit_doubles_nothing(id: str, operation: str) -> None:
    """Cut after each kind of effect in turn; the same call again ends it, with each effect exactly once."""
    clean = await _clean(id, operation)
    idempotent = ruling.folder(id).spec.operations[operation].idempotent
    problems = []
    for kind in dict.fromkeys(kind for kind, _ in clean):
        async with rehearsal.stage(id) as stage:
            connection, given = await stage.prepared(operation)
            before = len(stage.effects())
            stage.simulator.faults.drop_reply, stage.simulator.faults.drop_kinds = 1, [kind]
            try:
                await stage.call(connection, operation, given)
                problems.append(Problem(operation, f"a reply cut after {kind} went unnoticed"))
                continue
            except errors.OutcomeUnknown as error:
                if not error.hint.get("zh"):
                    problems.append(Problem(operation, "no hint for people"))
            if idempotent is declaration.Idempotency.NO:
                continue
            await stage.call(connection, operation, given, fresh=False)
            # A key is recognised by the system itself: it needs no second look either.
            if idempotent is KEY:
                await stage.call(connection, operation, given)
            problems += [
                Problem(operation, f"cut after {kind}: {text}") for text in _doubled(clean, stage.effects(before))
            ]
    ruling.settle(id, LOST, problems, about=operation)


def _doubled(clean: list[tuple[str, str]], found: list[tuple[str, str]]) -> list[str]:
    """Where what happened differs from an undisturbed run. Ids that the system makes up may differ; bringing up to
    date what is there already (another kind of effect) is no second effect."""
    kinds, wanted = Counter(kind for kind, _ in found), Counter(kind for kind, _ in clean)
    lines = [f"{kind} happened {kinds[kind]} times instead of {wanted[kind]}" for kind in wanted - kinds]
    lines += [
        f"{kind} happened {kinds[kind]} times instead of {count}"
        for kind, count in wanted.items()
        if kinds[kind] > count
    ]
    return lines + [f"{effect} happened twice" for effect, count in Counter(found).items() if count > 1]


def _tokens() -> list[tuple[str, str, int]]:
    """(connector, connection, auth block) wherever a token is got by login."""
    found = []
    for id in ruling.IDS:
        spec = ruling.folder(id).spec
        for name, wish in rehearsal.of(id).connections.items():
            config = {one.key: one.default for one in spec.fields if one.default is not None} | wish.config
            for number, one in enumerate(spec.auth):
                if one.token is not None and scope.applies(one.when, config):
                    found.append((id, name, number))
    return found


@pytest.mark.parametrize(("id", "name", "block"), _tokens(), ids=[f"{a}-{b}-{c}" for a, b, c in _tokens()])
async def test_an_ended_token_is_renewed_exactly_once(id: str, name: str, block: int) -> None:
    async with rehearsal.stage(id) as stage:
        operation = _carried(id, block)
        _, given = await stage.prepared(operation)
        connection = stage.connection(name)
        await stage.call(connection, operation, given)
        first = await _calls(stage, connection, operation, given)
        await stage.do(stage.plan.expire)
        try:
            renewed = await _calls(stage, connection, operation, given)
        except errors.CredentialRefused:
            # A token that a person entered, where only authorising in the browser gives one that can be renewed.
            way = ruling.folder(id).spec.authorise
            assert way is not None
            assert not any(connection.secrets.get(field) for field in way.fills)
            return
        again = await _calls(stage, connection, operation, given)
        problems = []
        if (login.NAME in first, renewed.count(login.NAME), login.NAME in again) != (False, 1, False):
            problems.append(Problem(operation, f"before {first}, at the end of the token {renewed}, then {again}"))
        ruling.settle(id, RENEWED, problems, about=operation)


def _carried(id: str, block: int) -> str:
    """An operation that only reads and carries the token of one auth block; the probe if it does."""
    spec = ruling.folder(id).spec
    wanted = spec.auth[block]
    for name in [spec.probe, *spec.operations]:
        made = plan.of(spec, name)
        if made.safe and spec.operations[name].flow is None and any(one.spec == wanted for one in made.auths):
            return name
    raise AssertionError(f"no operation of {id} only reads and carries auth[{block}]")


async def _calls(
    stage: rehearsal.Stage, connection: rehearsal.model.Connection, operation: str, given: dict[str, object]
) -> list[str]:
    if stage.spec.operations[operation].kind == "list":
        outcome = await stage.caller.call(connection, operation, given)
    else:
        outcome = await stage.call(connection, operation, given)
    return [one.operation for one in outcome.exchanges]


def test_there_is_something_to_renew_and_to_lose() -> None:
    assert _tokens()
    assert CHANGING
