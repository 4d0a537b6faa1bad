"""`tulay mappings`: helps to write mapping files."""

from __future__ import annotations

import json

import typer

from hub.cli.session import command, group


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    nouns = group("Mapping files: schema.")
    app.add_typer(nouns, name="mappings")

    @command(nouns)
    def schema(ctx: typer.Context) -> None:  # noqa: ARG001 - as every command
        """Print the JSON Schema of a mapping file, for editors."""
        from mappings.kit.file_schema import mapping_schema

        typer.echo(json.dumps(mapping_schema(), indent=2))
