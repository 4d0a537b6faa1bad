"""`tulay`: puts the nouns together; other packages add commands by entry points `tulay.commands`.

An entry point names a function that takes this app and adds its commands to it.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.exit_codes import epilog
from hub.cli.screen import complain
from hub.cli.session import Root, callback, markup

GROUP = "tulay.commands"

#: How many more objects than before bring the garbage collector.
_OBJECTS = 20_000

#: Global options that stand before their value, in one word.
_WITH_VALUE = ("--config=", "--log-format=")

#: The files of this folder that bring a command, in the order of `tulay --help`.
_NOUNS = (
    "init",
    "check",
    "sync",
    "status",
    "links",
    "conflicts",
    "errors",
    "reconcile",
    "explain",
    "resume",
    "connectors",
    "twin",
    "demo",
    "config",
    "mappings",
    "docs",
    "version",
    "letters",
)


def _version(asked: bool) -> None:
    if asked:
        from hub.cli import version

        typer.echo(f"tulay {version.number()}")
        raise typer.Exit


def build(words: Sequence[str] = ()) -> typer.Typer:
    """Returns the command line: all of it, or what these words of it need.

    Loading the code of all commands takes longer than most of them run.
    """
    app = typer.Typer(
        cls=Root,
        name="tulay",
        help="Keeps a CRM and an ERP telling the same story.",
        epilog=epilog(),
        no_args_is_help=True,
        rich_markup_mode=markup(),
        pretty_exceptions_enable=False,
    )

    @callback(app)
    def tulay(
        ctx: typer.Context,
        shown: Annotated[
            bool,
            typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
        ] = False,
    ) -> None:
        """Keeps a CRM and an ERP telling the same story."""

    name = _first(words)
    if name in _NOUNS:
        importlib.import_module(f"hub.cli.{name}").register(app)
        return app
    if name == "--version":
        return app
    for noun in _NOUNS:
        importlib.import_module(f"hub.cli.{noun}").register(app)
    for name, register in _others():
        try:
            load(register)(app)
        except (ImportError, AttributeError) as error:
            complain(f"the commands of {name} are left out: {error}", "warning")
    return app


def _first(words: Sequence[str]) -> str | None:
    """Returns what decides which code is needed: the command, or --version before it.

    >>> _first(["--config", "my.yaml", "--json", "sync"]), _first(["--version"]), _first(["--help"])
    ('sync', '--version', None)
    """
    rest = iter(words)
    for word in rest:
        if word in ("--config", "--log-format"):
            next(rest, None)
        elif word in ("--json", "--quiet", "--debug") or word.startswith(_WITH_VALUE):
            continue
        else:
            return word if word == "--version" or not word.startswith("-") else None
    return None


def _completed() -> list[str]:
    """Returns the words of the command line that a shell asks us to complete."""
    line = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS") or ""
    return line.split()[1:]


def load(reference: str) -> Callable[[typer.Typer], None]:
    """Returns the function that an entry point names. Raises: ImportError, AttributeError."""
    module, _, name = reference.partition(":")
    found: Callable[[typer.Typer], None] = getattr(importlib.import_module(module), name)
    return found


def _others() -> Iterator[tuple[str, str]]:
    """Yields name and reference of the commands that other packages add."""
    found = {entry.name: entry.value for entry in metadata.entry_points(group=GROUP)}
    yield from (found or _declared()).items()


def _declared() -> dict[str, str]:
    """Returns what pyproject.toml says, for a checkout that is not installed."""
    path = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if not path.is_file():
        return {}
    import tomllib  # an installed Tulay does not need it

    points = tomllib.loads(path.read_text(encoding="utf-8"))["project"].get("entry-points", {})
    return dict(points.get(GROUP, {}))


def main() -> None:
    """Runs the command line.

    What was loaded until here stays, so the garbage collector need not go through it again and
    again; a page of records makes no cycles, so it need not come with every few hundred objects.
    """
    app = build(_completed() if "_TULAY_COMPLETE" in os.environ else sys.argv[1:])
    gc.freeze()
    gc.set_threshold(_OBJECTS)
    gc.enable()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # whoever reads the pipe sees lines at once
    app(prog_name="tulay")


if __name__ == "__main__":
    main()
