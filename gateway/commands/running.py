"""Running things: the hub itself, the demo, the simulators, the journey and the bench."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.commands import shell

SANDBOX_PORT = 9100
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("serve")(serve)
    app.command("demo")(demo)
    app.command("bench")(bench)
    app.command("journey")(journey)
    app.command("rehearse")(rehearse)
    app.command("sim", context_settings=PASS_ON)(sim)


def _part(name: str) -> Any:
    """A module that only this command needs; a clear word when this installation has none."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and not (error.name == name or name.startswith(f"{error.name}.")):
            raise shell.fail(f"缺少依赖 {error.name}", f"the package {error.name} is missing") from None
        raise shell.fail(f"此安装不含 {name}", f"this installation has no {name}") from None


def serve(
    role: Annotated[str, typer.Option(help="all | api | worker | poller")] = "all",
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="工作进程数 / worker processes")] = None,
    host: Annotated[str | None, typer.Option(help="监听地址 / address to listen on")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="端口 / port")] = None,
    pace: Annotated[float, typer.Option(min=0.001, help="轮询间隔的倍数 / factor on polling periods")] = 1.0,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="同时启动内置模拟器，供连接试跑 / run simulators too, for rehearsals")
    ] = False,
) -> None:
    """启动枢纽：接口、界面、工作进程和内置 Redis / run the hub: API, UI, workers and the embedded Redis."""
    from gateway import children, settings

    if sandbox and not children.port_is_free(SANDBOX_PORT):
        raise shell.fail(f"模拟器的端口 {SANDBOX_PORT} 已被占用", f"the simulators' port {SANDBOX_PORT} is taken")
    place = SANDBOX_PORT if sandbox else None
    address = f"http://127.0.0.1:{place}" if place else None
    found = shell.load(workers=workers, host=host, port=port, sandbox_url=address)
    for name, near in settings.unknown().items():
        hint = f"，是否想写 {near}？ / did you mean {near}?" if near else ""
        shell.say(f"忽略未知的环境变量 {name}{hint}", f"unknown variable {name} is ignored")
    serving = _part("gateway.serve")
    try:
        raise typer.Exit(serving.run(found, role=role, pace=pace, sandbox=place))
    except settings.Unusable as error:
        raise shell.fail(error.zh, error.en, 78) from None


def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="枢纽的端口 / port of the hub")] = 8080,
    rate: Annotated[float, typer.Option(min=0.01, help="每秒订单数 / orders a second")] = 1.0,
    seconds: Annotated[float | None, typer.Option(min=1, help="多少秒后自行结束 / end by itself after so long")] = None,
    sim_port: Annotated[int, typer.Option(min=0, max=65535, help="模拟器的端口 / port of the simulators")] = 9100,
) -> None:
    """演示：枢纽 + 模拟器 + 现成配置 + 持续流量 / the hub, simulators, a ready configuration and steady traffic."""
    raise typer.Exit(_part("gateway.trial.demo").run(port=port, rate=rate, seconds=seconds, sim_port=sim_port))


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="短测 / a short run")] = False,
    only: Annotated[list[str] | None, typer.Option(help="只测这些部分 / only these parts, may be repeated")] = None,
    database_url: Annotated[str, typer.Option(help="用自己的 PostgreSQL / a PostgreSQL of your own")] = "",
    out: Annotated[
        Path | None, typer.Option(help="结果写入此目录 / a folder for result, table and chart (full run: docs)")
    ] = None,
    compare: Annotated[Path | None, typer.Option(help="与先前的结果比较 / compare with an earlier result")] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.0, max=5.0, help="可变差的份额 / share by which it may fall")
    ] = 0.25,
    as_json: shell.Json = False,
) -> None:
    """性能测试：每个数字都与同一次运行的对照并列 / measure everything beside its peer of the same run."""
    running = _part("gateway.bench.run")
    parts = tuple(only or running.PARTS)
    for name in parts:
        if name not in running.PARTS:
            known = ", ".join(running.PARTS)
            raise shell.fail(f"没有这一部分 {name}；可选：{known}", f"no part {name}; there are: {known}")
    try:
        code = running.run(
            quick=quick, as_json=as_json, database_url=database_url, parts=parts, folder=out, compare=compare,
            tolerance=tolerance,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        if compare is None or compare.exists():
            raise
        raise shell.fail(f"读不到 {compare}", f"cannot read {compare}: {error}") from None
    raise typer.Exit(code)


def journey(
    orders: Annotated[
        int | None,
        typer.Option(min=1, help="订单数，默认 200；--wide 每家店 20 / orders: 200; --wide: 20 a shop"),
    ] = None,
    database_url: Annotated[str, typer.Option(help="用自己的 PostgreSQL / a PostgreSQL of your own")] = "",
    redis_url: Annotated[str, typer.Option(help="用自己的 Redis / a Redis of your own")] = "",
    wide: Annotated[
        bool, typer.Option("--wide", help="五家店、两套 ERP、仓库、CRM、三种消息 / many systems, joined by recipes")
    ] = False,
) -> None:
    """全链路验证 / the whole story over many orders, with faults; ends with the accounting line."""
    story = "gateway.trial.wide" if wide else "gateway.trial.journey"
    wanted = {} if orders is None else {"orders": orders}
    raise typer.Exit(_part(story).run(database_url=database_url, redis_url=redis_url, **wanted))


def rehearse(
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="hub.yaml；默认用演示的 / your own hub.yaml")
    ] = None,
    output: Annotated[Path, typer.Option("-o", help="报告 / where the report goes")] = Path("rehearsal.html"),
    rate: Annotated[float, typer.Option(min=1, help="平时每秒订单数 / orders a second on a calm day")] = 20.0,
    times: Annotated[float, typer.Option(min=1, help="高峰是平时的几倍 / how many times that in the burst")] = 100.0,
    seconds: Annotated[float, typer.Option(min=1, help="高峰持续多少秒 / seconds of the burst")] = 180.0,
    calm: Annotated[float, typer.Option(min=1, help="高峰前后各多少秒 / seconds before and after it")] = 30.0,
    drain: Annotated[float, typer.Option(min=1, help="之后最多等多少秒 / seconds to wait for the rest")] = 600.0,
    workers: Annotated[int, typer.Option(min=1, max=64, help="工作进程数 / worker processes")] = 2,
    database_url: Annotated[str, typer.Option(help="空的 PostgreSQL；默认内嵌 / an empty PostgreSQL")] = "",
) -> None:
    """大促演练：百倍订单冲击模拟器，出一页报告 / a hundredfold burst against simulators, with a report page."""
    given = {"rate": rate, "times": times, "seconds": seconds, "calm": calm, "drain": drain, "workers": workers}
    rehearsal = _part("gateway.rehearsal.command")
    raise typer.Exit(rehearsal.run(file, output, database_url=database_url, **given))


def sim(context: typer.Context) -> None:
    """启动模拟器 / run the simulators."""
    # In our place, not below us: a signal to this process must reach the simulators.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "connectors.simulator", *context.args])  # noqa: S606
