"""`tulay check`: proves credentials, compares mappings with the live systems, prepares fields.

Writes nothing anywhere, except with --prepare: then missing custom fields are created over there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from connectors.kit.contract import Finding, StreamSchema
from connectors.kit.errors import ConnectorError
from hub.cli.exits import FOUND
from hub.cli.session import command, session
from hub.settings import Settings
from hub.sync.context import Channel, Connection, Hub
from hub.sync.push.custom_fields import needs
from mappings.kit.files import nearest


@dataclass(frozen=True, slots=True)
class Line:
    """A finding and where it was made."""

    connection: str
    level: str
    what: str
    todo: str


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def check(
        ctx: typer.Context,
        connection: Annotated[
            list[str] | None, typer.Argument(help="Only these connections.")
        ] = None,
        prepare: Annotated[
            bool, typer.Option("--prepare", help="Create missing custom fields over there.")
        ] = False,
    ) -> None:
        """Look at every connection: credentials, fields, webhooks. Exit code 1 on an error."""
        settings = session(ctx).settings()
        with session(ctx).hub(settings, only=connection or None) as hub:
            lines = [
                Line(one.name, found.level, found.what, found.todo)
                for one in hub.connections.values()
                for found in findings(hub, settings, one, prepare=prepare)
            ]
        screen = session(ctx).screen
        screen.document(lines)
        screen.table(
            ["connection", "level", "finding"],
            [(line.connection, line.level, _words(line)) for line in lines],
            empty="nothing to say",
        )
        if any(line.level == "error" for line in lines):
            raise typer.Exit(FOUND)


def _words(line: Line) -> str:
    return f"{line.what}; {line.todo}" if line.todo else line.what


def findings(hub: Hub, settings: Settings, one: Connection, *, prepare: bool) -> Iterator[Finding]:
    """Yields what is to say about a connection, the worst news last."""
    try:
        yield from one.connector.check()
        if prepare:
            yield from one.connector.prepare(needs(one))
    except ConnectorError as error:
        yield Finding("error", str(error), "then run `tulay check` again")
        return
    for channel in one.channels.values():
        try:
            schema = one.connector.describe(channel.stream)
        except ConnectorError as error:
            yield Finding("error", f"{channel.stream} cannot be looked at: {error}")
            continue
        yield from _fields(channel, schema, prepared=prepare)
        yield from _rights(hub, channel)
    yield from _webhooks(settings, one)


def _fields(channel: Channel, schema: StreamSchema, *, prepared: bool) -> Iterator[Finding]:
    """Compares the names in a mapping with the fields that there are."""
    stream = channel.stream
    custom = {one.name for one in channel.mapping.custom_fields}
    missing = [n for n in channel.mapping.names if not _known(n, schema)]
    creatable = [n for n in missing if n.rpartition(".")[2] in custom]
    if creatable and not prepared:
        names = ", ".join(creatable)
        yield Finding(
            "warning", f"{stream} lacks {names}", "`tulay check --prepare` creates what is missing"
        )
    for name in missing:
        if name not in creatable or prepared:
            line = channel.mapping.names[name]
            hint = nearest(name, _close(name, schema))
            yield Finding(
                "error",
                f"{stream} has no field {name!r} (line {line} of its mapping){hint}",
                "correct the mapping, or create the field over there",
            )
    yield from _required(channel, schema)
    if not missing:
        yield Finding("ok", f"{stream}: all {len(channel.mapping.names)} mapped fields are there")


def _known(name: str, schema: StreamSchema) -> bool:
    """A mapping's field `a.b` may be described as `a.b`, as `b` or as a whole, `a`."""
    parts = name.split(".")
    names = {".".join(parts[: n + 1]) for n in range(len(parts))} | {parts[-1]}
    return any(found in schema.fields for found in names)


def _close(name: str, schema: StreamSchema) -> Sequence[str]:
    """Returns the fields that a wrong name may have meant; none rather than hundreds."""
    last = name.rpartition(".")[2].casefold()
    return [f for f in schema.fields if last in f.casefold() or f.casefold() in name.casefold()]


def _required(channel: Channel, schema: StreamSchema) -> Iterator[Finding]:
    if not channel.facts.create:
        return
    mapped = {part for name in channel.mapping.names for part in (name, name.partition(".")[0])}
    mapped |= {name.rpartition(".")[2] for name in channel.mapping.names}
    lacking = [n for n, f in schema.fields.items() if f.required and f.writable and n not in mapped]
    if lacking:
        yield Finding(
            "warning",
            f"{channel.stream} requires {', '.join(lacking)}, which no mapping fills",
            "map it, or make sure that the system fills it by itself",
        )


def _rights(hub: Hub, channel: Channel) -> Iterator[Finding]:
    """A policy that wants to create where the stream cannot is a promise nobody keeps."""
    policy = hub.policy(channel.entity.name)
    if channel.connection in policy.create and not channel.facts.create:
        yield Finding(
            "warning",
            f"the policy of {channel.entity.name} creates in {channel.connection}, but"
            f" {channel.stream} cannot create",
            f"take {channel.connection} out of policies.{channel.entity.name}.create",
        )


def _webhooks(settings: Settings, one: Connection) -> Iterator[Finding]:
    manifest = settings.connections[one.name].manifest
    if not manifest.webhooks:
        yield Finding("ok", "no webhooks in this system; changes are read by schedule")
    elif settings.web.public_url is None:
        yield Finding("ok", "webhooks are off: web.public_url is not set; read by schedule")
    else:
        base = settings.web.public_url.rstrip("/")
        yield Finding("ok", f"webhooks are received at {base}/webhooks/{one.name}")
