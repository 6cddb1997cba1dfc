"""``python -m connectors.simulator --port 9100 [--journal FILE] [ids…]``: every simulator on one port."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

from connectors.simulator import engine, server

EVERY = "all"


async def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    wanted = [] if arguments.ids == [EVERY] else arguments.ids
    made = engine.create(wanted, journal_file=arguments.journal, time_scale=arguments.time_scale, seed=arguments.seed)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    async with server.running(engine.application(made), arguments.host, arguments.port) as url:
        print(f"模拟器 simulators: {url}/_sim  {' '.join(made)}", flush=True)
        await stopped.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m connectors.simulator", description=__doc__)
    parser.add_argument("ids", nargs="*", help=f"connector ids; all when none is named, or {EVERY}")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--journal", type=Path, help="append every effect to this file as JSON lines")
    parser.add_argument(
        "--time-scale", type=float, default=1.0, help="factor on every vendor delay (0.01: 100 x faster)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the faults' dice")
    parser.add_argument("--settings", action="store_true", help="print every simulator's settings as JSON, and end")
    arguments = parser.parse_args()
    if arguments.settings:
        made = engine.create([])
        print(json.dumps({id: one.settings for id, one in made.items()}, default=str))
        return 0
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run(arguments))
    except (LookupError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
