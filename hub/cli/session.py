"""What all commands share: the global options, the screen, and the way to an open hub.

The global options may stand before or after any command's name.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

import typer
from typer.core import TyperGroup

from hub.cli import exit_codes
from hub.cli.screen import Screen, complain

if TYPE_CHECKING:  # loaded by the commands that need them: half of the start-up time
    from hub.logs import LogConfig
    from hub.settings import Settings
    from hub.sync.context import Hub

Done = TypeVar("Done", bound=Callable[..., Any])


@dataclass
class Session:
    """The global options of this call."""

    config: Path | None = None
    json: bool = False
    debug: bool = False
    quiet: bool = False
    #: Said or set in the environment: the command logs its runs, as `tulay serve` does.
    log_format: str | None = None

    @property
    def screen(self) -> Screen:
        """Where results go."""
        return Screen(self.json, self.quiet)

    def log_config(self, *, service: bool = False) -> LogConfig:
        """Returns what is logged: runs if asked for, records with --debug, else warnings only."""
        import logging

        from hub.logs import LogConfig, LogFormat

        told = service or self.log_format is not None
        level = logging.DEBUG if self.debug else logging.INFO if told else logging.WARNING
        return LogConfig(LogFormat(self.log_format or LogFormat.TEXT), level, timed=told)

    def settings(self) -> Settings:
        """Reads tulay.yaml. Raises: SettingsError."""
        from hub.settings import load_settings

        return load_settings(self.config)

    @contextmanager
    def hub(
        self,
        settings: Settings | None = None,
        *,
        only: Sequence[str] | None = None,
        offline: bool = False,
    ) -> Iterator[Hub]:
        """Opens the hub for the length of a command; `offline` when it calls no system."""
        from hub.wiring import open_hub

        hub = open_hub(settings or self.settings(), only=only, offline=offline)
        try:
            yield hub
        finally:
            hub.close()


def session(ctx: typer.Context) -> Session:
    """Returns the session of a command."""
    found = ctx.find_root().obj
    assert isinstance(found, Session)
    return found


#: The global options, as every command takes them.
_GLOBAL = {
    "config": Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="tulay.yaml to use (or TULAY_CONFIG)."),
    ],
    "json": Annotated[bool, typer.Option("--json", help="Print one JSON document.")],
    "quiet": Annotated[bool, typer.Option("--quiet", help="Print results only.")],
    "debug": Annotated[
        bool,
        typer.Option("--debug", help="Log each record; show where an error comes from."),
    ],
    "log_format": Annotated[
        Literal["text", "json"] | None,
        typer.Option(
            "--log-format",
            envvar="TULAY_LOG_FORMAT",
            help="Log runs to stderr, one line each.",
        ),
    ],
}
#: Those that are not set unless a value is given.
_VALUES = ("config", "log_format")


def everywhere(function: Done) -> Done:
    """Gives a command, whose first parameter must be `ctx`, the global options."""
    own = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def wrapper(ctx: typer.Context, **options: Any) -> Any:
        root = ctx.find_root()
        root.obj = root.obj if isinstance(root.obj, Session) else Session()
        for name in _GLOBAL:
            if value := options.pop(name):
                setattr(root.obj, name, value)
        _log(root, root.obj)
        return function(ctx, **options)

    more = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if name in _VALUES else False,
            annotation=annotation,
        )
        for name, annotation in _GLOBAL.items()
    ]
    parameters = [*own.parameters.values(), *more]
    # Typer reads both.
    wrapper.__dict__["__signature__"] = own.replace(parameters=parameters)
    wrapper.__annotations__ = {one.name: one.annotation for one in parameters}
    return cast(Done, wrapper)


def _log(root: Any, current: Session) -> None:
    """Logs to standard error until the command ends."""
    from hub import logs

    logs.log_to_stderr(current.log_config())
    root.call_on_close(logs.stop_logging)


class Root(TyperGroup):
    """`tulay`: the one place where errors become messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command. Raises: typer.Exit with the code of what went wrong."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except BrokenPipeError as error:
            # Whoever read us (`head`, a pager) has seen enough: nothing is wrong.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from error
        except (Exception, KeyboardInterrupt) as error:
            # The outermost edge: whatever comes here ends the command, with a message.
            asked = isinstance(ctx.obj, Session) and ctx.obj.debug
            code = exit_codes.code_of(error)
            complain(
                exit_codes.message_of(error),
                "note" if code == exit_codes.STOPPED else "error",
                cause=error if asked else None,
            )
            raise typer.Exit(code) from error


def group(help_text: str, *, bare: bool = False) -> typer.Typer:
    """Returns a noun. With `bare` it does something without a command's name, too."""
    return typer.Typer(
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
    return lambda function: app.command(name)(everywhere(function))


def callback(app: typer.Typer) -> Callable[[Done], Done]:
    """Makes a function what a noun does before its commands; takes the global options."""
    return lambda function: app.callback()(everywhere(function))
