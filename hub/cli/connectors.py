"""`tulay connectors`: which systems there are, and a folder to start a new one from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.kit import scaffold
from connectors.kit.registry import Catalogue, catalogue
from hub.cli.screen import complain
from hub.cli.session import Session, command, group, session
from hub.errors import SettingsError
from hub.settings import connector_folders


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    nouns = group("Systems there are connectors for: list, new.")
    app.add_typer(nouns, name="connectors")

    @command(nouns, "list")
    def listing(ctx: typer.Context) -> None:
        """List all connectors: ours, installed ones, and those in the folders of tulay.yaml."""
        found = _catalogue(session(ctx))
        rows = [_row(found, system) for system in sorted(found.found)]
        screen = session(ctx).screen
        screen.document({"connectors": rows, "problems": list(found.problems)})
        screen.table(
            ["system", "role", "quality", "webhooks", "twin", "title"],
            [
                (r["system"], r["role"], _quality(r), r["webhooks"], r["twin"], r["title"])
                for r in rows
            ],
            empty="no connectors",
        )
        for problem in found.problems:
            complain(problem, "warning")

    @command(nouns)
    def new(
        ctx: typer.Context,
        name: Annotated[str, typer.Argument(help="Name of the system: small letters, digits, _.")],
        folder: Annotated[
            Path, typer.Option("--in", help="Where the folder goes.", file_okay=False)
        ] = Path(),
    ) -> None:
        """Write a working connector for a made-up API, to be changed into yours."""
        try:
            files = scaffold.new(name, folder)
        except scaffold.ScaffoldError as error:
            raise SettingsError(str(error)) from error
        screen = session(ctx).screen
        screen.document({"written": [str(file) for file in files]})
        for file in files:
            screen.say(str(file))
        screen.note(f"its tests pass already: pytest {folder / name}")
        screen.note(f"to use it, add to tulay.yaml: connectors: [{folder}], mappings: [{folder}]")


def _catalogue(session: Session) -> Catalogue:
    """Looks where tulay.yaml says, too, when there is one."""
    return catalogue(connector_folders(session.config))


def _row(found: Catalogue, system: str) -> dict[str, Any]:
    one = found.found[system]
    manifest = one.manifest
    quality = list(manifest.quality.values())
    return {
        "system": system,
        "title": manifest.title,
        "role": manifest.role,
        "streams": list(manifest.streams),
        "webhooks": manifest.webhooks,
        "twin": manifest.twin is not None,
        "versions": list(manifest.versions),
        "quality_done": sum(word == "done" for word in quality),
        "quality_rules": sum(not word.startswith("exempt") for word in quality),
        "folder": str(one.folder),
    }


def _quality(row: dict[str, Any]) -> str:
    return f"{row['quality_done']}/{row['quality_rules']}" if row["quality_rules"] else "-"
