"""``shuniu``: the command line. Commands live in gateway/commands, by subject."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from gateway.commands import accounts, configuring, debugging, doctor, people, running

app = typer.Typer(
    name="shuniu",
    help="枢纽：让 CRM、ERP、电商平台和消息保持一致 / keeps CRM, ERP, marketplaces and messaging consistent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _subject in (running, configuring, doctor, debugging, accounts, people):
    _subject.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(metadata.version("shuniu"))
        except metadata.PackageNotFoundError:
            typer.echo("0+source")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="版本 / version")
    ] = False,
) -> None:
    """枢纽 / Shuniu."""


def main() -> None:
    """The entry point."""
    app()


if __name__ == "__main__":
    main()
