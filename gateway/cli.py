"""``shuniu``: the command line. Commands live in gateway/commands, by subject.

Only the subject that a call needs is imported: the processes of ``serve`` start through here too, and must not
carry the memory of every other command.
"""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

import typer

from gateway import __version__

SUBJECTS: dict[str, tuple[str, ...]] = {
    "running": ("serve", "demo", "sim", "bench", "journey", "rehearse"),
    "configuring": ("apply", "diff", "export"),
    "declaring": ("connector",),
    "cooking": ("recipe",),
    "doctor": ("check", "doctor"),
    "debugging": ("sign", "map"),
    "accounts": ("ledger", "migrate"),
    "replaying": ("replay",),
    "mending": ("edit",),
    "keeping": ("backup", "restore"),
    "reconciling": ("reconcile",),
    "importing": ("backfill",),
    "listing": ("believe",),
    "people": ("user", "token"),
    "growing": ("growth", "archive"),
    "guarding": ("keys", "audit", "customer", "retention"),
}
"""Module of gateway/commands -> the commands it brings."""


def build(first: str | None = None) -> typer.Typer:
    """The application; with the name of a command, only what that command needs."""
    app = typer.Typer(
        name="shuniu",
        help="枢纽：让 CRM、ERP、电商平台和消息保持一致 / keeps CRM, ERP, marketplaces and messaging consistent.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(root)
    wanted = [name for name, commands in SUBJECTS.items() if first in commands] or list(SUBJECTS)
    for name in wanted:
        importlib.import_module(f"gateway.commands.{name}").register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="版本 / version")
    ] = False,
) -> None:
    """枢纽：让 CRM、ERP、电商平台和消息保持一致 / keeps CRM, ERP, marketplaces and messaging consistent."""


def main() -> None:
    """The entry point."""
    build(sys.argv[1] if len(sys.argv) > 1 else None)(prog_name="shuniu")


if __name__ == "__main__":
    main()
