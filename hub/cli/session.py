"""What all commands share: the global options, the screen, and the way to an open hub.

The global options may stand before or after any command's name.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from hub.cli import exits
from hub.cli.screen import Screen, complain
from hub.settings import Settings, load_settings
from hub.sync.hub import Hub
from hub.wiring import open_hub

Done = TypeVar("Done", bound=Callable[..., Any])


@dataclass
class Session:
    """The global options of this call."""

    config: Path | None = None
    json: bool = False
    debug: bool = False
    quiet: bool = False

    @property
    def screen(self) -> Screen:
        """Where results go."""
        return Screen(self.json, self.quiet)

    def settings(self) -> Settings:
        """Reads tulay.yaml. Raises: SettingsError."""
        return load_settings(self.config)

    @contextmanager
    def hub(
        self, settings: Settings | None = None, *, only: Sequence[str] | None = None
    ) -> Iterator[Hub]:
        """Opens the hub for the length of a command."""
        hub = open_hub(settings or self.settings(), only=only)
        try:
            yield hub
        finally:
            hub.close()


def session(ctx: typer.Context) -> Session:
    """Returns the session of a command."""
    found = ctx.find_root().obj
    assert isinstance(found, Session)
    return found


def _options() -> list[Any]:
    """Returns the global options, for every command."""

    def note(ctx: Any, param: Any, value: Any) -> None:
        root = ctx.find_root()
        root.obj = root.obj if isinstance(root.obj, Session) else Session()
        if value:
            setattr(root.obj, param.name, value)

    def option(name: str, words: str, **more: Any) -> TyperOption:
        return TyperOption(
            param_decls=[f"--{name}"], help=words, expose_value=False, callback=note, **more
        )

    return [
        option("config", "tulay.yaml to use (TULAY_CONFIG).", type=Path, metavar="FILE"),
        option("json", "Print one JSON document.", is_flag=True, default=False),
        option("quiet", "Print results only.", is_flag=True, default=False),
        option("debug", "Show where an error comes from.", is_flag=True, default=False),
    ]


class Command(TyperCommand):
    """A command that takes the global options, too."""

    def __init__(self, name: str | None, **attributes: Any) -> None:
        attributes["params"] = [*(attributes.get("params") or ()), *_options()]
        super().__init__(name, **attributes)


class Group(TyperGroup):
    """A noun with commands; takes the global options, too."""

    def __init__(self, **attributes: Any) -> None:
        attributes["params"] = [*(attributes.get("params") or ()), *_options()]
        super().__init__(**attributes)


class Root(Group):
    """`tulay`: the one place where errors become messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command. Raises: typer.Exit with the code of what went wrong."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except (Exception, KeyboardInterrupt) as error:
            # The outermost edge: whatever comes here ends the command, with a message.
            asked = isinstance(ctx.obj, Session) and ctx.obj.debug
            if asked:
                traceback.print_exc(file=sys.stderr)
            complain(exits.message_of(error))
            raise typer.Exit(exits.code_of(error)) from error


def group(help_text: str, *, bare: bool = False) -> typer.Typer:
    """Returns a noun. With `bare` it does something without a command's name, too."""
    return typer.Typer(
        cls=Group,
        help=help_text,
        invoke_without_command=bare,
        no_args_is_help=not bare,
        rich_markup_mode=markup(),
    )


def markup() -> Any:
    """Rich help on a terminal, plain help in a pipe."""
    return "rich" if sys.stdout.isatty() else None


def command(app: typer.Typer, name: str | None = None) -> Callable[[Done], Done]:
    """Adds a function as a command that takes the global options."""
    return app.command(name, cls=Command)
