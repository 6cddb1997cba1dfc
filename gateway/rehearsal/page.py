"""The report of a rehearsal as one HTML file: no script, nothing from elsewhere, Chinese and English by a switch."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from gateway import __version__
from gateway.rehearsal import advice, rehearsing

WIDE, HIGH, EDGE = 900, 240, 46
STYLE = """
body{font:15px/1.6 system-ui,"Noto Sans SC",sans-serif;margin:0 auto;max-width:960px;padding:24px;color:#1c2430}
h1{font-size:26px;margin:8px 0}h2{font-size:18px;margin:28px 0 8px}table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid #dde3ea;padding:6px 10px;text-align:right}td:first-child,th:first-child{text-align:left}
.ready{background:#e3f6ea;color:#0b6b34}.slow{background:#fff4d6;color:#7a5200}.broken{background:#fde4e4;color:#9b1c1c}
.verdict{border-radius:10px;padding:14px 18px;font-size:18px;font-weight:600}.dim{color:#66717f}
svg{width:100%;height:auto;background:#f7f9fb;border-radius:10px}.lang{float:right}
#zh:checked~main [lang=en],#en:checked~main [lang=zh]{display:none}
"""


def page(told: rehearsing.Outcome, at: datetime | None = None) -> str:
    """The whole document."""
    when = (at or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    plan = told.plan
    zh, en = advice.VERDICTS[told.verdict]
    rates = f"{plan.rate:g} → {plan.rate * plan.times:g}"
    lead_zh = f"{rates} 笔/秒，持续 {plan.seconds:g} 秒；{when}；版本 {__version__}"
    lead_en = f"{rates} orders/s for {plan.seconds:g} s; {when}; version {__version__}"
    parts = [
        f"<h1>{_both('大促演练报告', 'Rehearsal of a great sale')}</h1><p class=dim>{_both(lead_zh, lead_en)}</p>",
        f'<p class="verdict {told.verdict}">{_both(zh, en)}</p>',
        f"<h2>{_both('结果', 'Outcome')}</h2>{_facts(told)}",
        f"<h2>{_both('应答', 'Answers')}</h2>{_waves(told)}",
        f"<h2>{_both('在途曲线', 'Backlog')}</h2>{_curve(told)}",
        f"<h2>{_both('各目标系统', 'Targets')}</h2>{_targets(told)}",
        f"<h2>{_both('建议', 'Advice')}</h2><ul>{''.join(f'<li>{_both(*one)}</li>' for one in advice.of(told))}</ul>",
        f"<h2>{_both('怎样演练的', 'How it was done')}</h2>{_method(told)}",
    ]
    return (
        '<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>枢纽 Shuniu · rehearsal</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        '<input type="radio" name="l" id="zh" checked><label for="zh">中文</label> '
        '<input type="radio" name="l" id="en"><label for="en">English</label>'
        f"<main>{''.join(parts)}</main></body></html>"
    )


def _both(zh: str, en: str) -> str:
    return f'<span lang="zh">{html.escape(zh)}</span><span lang="en">{html.escape(en)}</span>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>" if top else f"<table>{body}</table>"


def _facts(told: rehearsing.Outcome) -> str:
    peak = max((one.owed for one in told.moments), default=0)
    if told.drained_after is None:
        drained = _both("未在时限内消化完", "not within the time")
    else:
        drained = _both(f"{told.drained_after:.0f} 秒", f"{told.drained_after:.0f} s")
    return _table((), [
        (_both("已确认", "Acknowledged"), f"{told.accepted:,}"),
        (_both("放弃（5 次未收）", "Given up (refused five times)"), f"{told.given_up:,}"),
        (_both("丢失", "Lost"), f"{told.lost:,}"),
        (_both("重复生效", "Doubled"), f"{told.double:,}"),
        (_both("台账差额", "Difference of the ledger"), f"{told.difference:,}"),
        (_both("最多在途", "Most under way"), f"{peak:,}"),
        (_both("高峰后消化用时", "Drained after the burst"), drained),
        (_both("结束时仍在途", "Still under way at the end"), f"{told.owed:,}"),
        (_both("需人工处理", "For a person"), f"{told.failed:,}"),
    ])  # fmt: skip


def _waves(told: rehearsing.Outcome) -> str:
    names = {"calm": ("平时", "calm"), "burst": ("高峰", "burst"), "after": ("之后", "after")}
    head = [_both("阶段", "Phase"), _both("笔/秒", "per second"), _both("已确认", "taken"), _both("婉拒", "refused"),
            "p50 ms", "p95 ms", "p99 ms", "max ms"]  # fmt: skip
    rows = [
        [_both(*names[wave.name]), f"{wave.rate:g}", f"{wave.accepted:,}", f"{wave.refused:,}",
         *(f"{wave.quantile(q):,.0f}" for q in (0.5, 0.95, 0.99, 1.0))]
        for wave in told.waves
    ]  # fmt: skip
    return _table(head, rows)


def _targets(told: rehearsing.Outcome) -> str:
    names = [("目标", "Target"), ("已投递", "delivered"), ("在途", "under way"), ("需人工", "for a person")]
    head = [_both(*one) for one in [*names, ("其他", "other"), ("每秒", "per second")]]
    rows = []
    for key, states in sorted(told.states.items()):
        done = states.get("delivered", 0)
        waiting = sum(states.get(one, 0) for one in ("pending", "retrying", "in_flight"))
        person = states.get("dead", 0) + states.get("parked", 0)
        rest = sum(states.values()) - done - waiting - person
        pace = f"{done / max(told.seconds, 1):,.1f}"
        rows.append([html.escape(key), f"{done:,}", f"{waiting:,}", f"{person:,}", f"{rest:,}", pace])
    return _table(head, rows)


def _curve(told: rehearsing.Outcome) -> str:
    """What was under way, second by second; the burst is shaded."""
    long = max((one.at for one in told.moments), default=1.0) or 1.0
    tall = max((one.owed for one in told.moments), default=0) or 1

    def place(at: float, owed: float) -> str:
        x, y = EDGE + at / long * (WIDE - EDGE - 10), HIGH - 26 - owed / tall * (HIGH - 46)
        return f"{x:.1f},{y:.1f}"

    line = " ".join(place(one.at, one.owed) for one in told.moments)
    left, right = (float(place(at, 0).split(",")[0]) for at in (told.plan.calm, min(told.burst_ended, long)))
    return (
        f'<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="backlog"><rect x="{left:.1f}" y="10" '
        f'width="{max(0.0, right - left):.1f}" height="{HIGH - 36}" fill="#ffe3c2"/>'
        f'<polyline points="{line}" fill="none" stroke="#2456c8" stroke-width="2"/>'
        f'<text x="4" y="24" font-size="12">{tall:,}</text><text x="4" y="{HIGH - 26}" font-size="12">0</text>'
        f'<text x="{WIDE - 60}" y="{HIGH - 6}" font-size="12">{long:.0f} s</text></svg>'
    )


def _method(told: rehearsing.Outcome) -> str:
    plan, cast = told.plan, told.cast
    database = "PostgreSQL" if plan.database_url else "SQLite"
    machine = f"{told.machine.get('cores')} × CPU, Python {told.machine.get('python')}, {told.machine.get('system')}"
    players = ", ".join(f"{key}={id}" for key, id in cast.played.items())
    zh = (
        f"真实的枢纽进程（{plan.workers} 个工作进程，{database}；{machine}），用所给 hub.yaml 的路由、条件、映射。"
        f"订单经带签名的通用入口推入（{len(cast.doors)} 个），不含各平台自己的长连接与验签；"
        f"其余系统由同一台机器上的模拟器扮演：{players}。"
    )
    en = (
        f"Real processes of the hub ({plan.workers} workers, {database}; {machine}) with the routes, conditions and "
        f"mappings of the given hub.yaml. Orders came in by a generic signed door ({len(cast.doors)}): the platforms' "
        f"own long connections and proofs were no part of it. Simulators on the same machine played {players}."
    )
    spent = f"CPU {told.cpu_seconds:,.0f} s, {told.memory_mib:,.0f} MiB"
    return f"<p>{_both(zh, en)}</p><p class=dim>{html.escape(spent)}</p>"
