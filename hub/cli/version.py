"""`tulay version`."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import typer

from hub.cli.session import command, session


def number() -> str:
    """Returns our version; of a checkout that is not installed, the one in pyproject.toml."""
    try:
        return metadata.version("tulay")
    except metadata.PackageNotFoundError:
        import tomllib  # an installed Tulay does not need it

        path = Path(__file__).resolve().parents[2] / "pyproject.toml"
        declared: str = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"]
        return declared


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def version(ctx: typer.Context) -> None:
        """Print the version."""
        screen = session(ctx).screen
        screen.document({"tulay": number(), "python": platform.python_version()})
        screen.say(f"tulay {number()} on Python {platform.python_version()}")
