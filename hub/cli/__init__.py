"""The command line: Typer reads it, Rich draws it, the use cases of hub.sync do it."""
