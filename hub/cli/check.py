"""`tulay check`: proves credentials, compares mappings with the live systems, prepares fields.

Writes nothing, except with --prepare: then missing custom fields are created in the systems.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from connectors.kit.contract import Finding, StreamSchema
from connectors.kit.errors import ConnectorError
from hub.cli.completion import complete_connection
from hub.cli.exit_codes import FOUND
from hub.cli.session import command, session
from hub.settings import Settings
from hub.sync.context import Channel, Connection, Hub
from hub.sync.push.custom_fields import needs
from mappings.kit.files import nearest

#: What creates fields that are missing.
PREPARE = "tulay check --prepare"


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
            list[str] | None,
            typer.Argument(help="Only these connections.", autocompletion=complete_connection),
        ] = None,
        prepare: Annotated[
            bool, typer.Option("--prepare", help="Create missing custom fields in the systems.")
        ] = False,
    ) -> None:
        """Check every connection: credentials, fields, webhooks. Exit code 1 on an error."""
        settings = session(ctx).settings()
        names = [settings.connection(name).name for name in connection or settings.connections]
        # All are opened: which fields are worth creating depends on what the others can fill.
        with session(ctx).hub(settings) as hub:
            lines = [
                Line(name, found.level, found.what, found.todo)
                for name in names
                for found in findings(hub, settings, hub.connections[name], prepare=prepare)
            ]
        screen = session(ctx).screen
        screen.document(lines)
        screen.table(
            ["connection", "level", "finding"],
            [(line.connection, line.level, _words(line)) for line in lines],
            empty="nothing to say",
        )
        screen.say(summary(lines))
        if any(line.level == "error" for line in lines):
            raise typer.Exit(FOUND)


def summary(lines: Sequence[Line]) -> str:
    """Returns how many findings of each level there are, and the next step.

    >>> summary([Line("crm", "ok", "logged in", ""), Line("crm", "warning", "no secret", "")])
    '1 warning, 1 ok. Next: tulay sync --once'
    """
    count = Counter(line.level for line in lines)
    words = [f"{count[level]} {level}{'s' * (count[level] > 1)}" for level in ("error", "warning")]
    told = [word for word in words if not word.startswith("0 ")] + [f"{count['ok']} ok"]
    if count["error"]:
        step = "correct the errors, then: tulay check"
    elif any(PREPARE in line.todo for line in lines):
        step = PREPARE
    else:
        step = "tulay sync --once"
    return f"{', '.join(told)}. Next: {step}"


def _words(line: Line) -> str:
    return f"{line.what}; {line.todo}" if line.todo else line.what


def findings(hub: Hub, settings: Settings, one: Connection, *, prepare: bool) -> Iterator[Finding]:
    """Yields the findings about a connection, those about its fields last."""
    wanted = needs(hub, one)
    found: Sequence[Finding] = ()
    created: Sequence[Finding] = ()
    try:
        found = one.connector.check()
        if prepare:
            created = one.connector.prepare(wanted)
            # What was missing a moment ago may have been created now.
            found = one.connector.check()
    except ConnectorError as error:
        yield from found
        yield Finding("error", str(error), "then run `tulay check` again")
        return
    yield from found
    yield from created
    for channel in one.channels.values():
        try:
            schema = one.connector.describe(channel.stream)
        except ConnectorError as error:
            yield Finding("error", f"{channel.stream} cannot be described: {error}")
            continue
        needed = {need.name for need in wanted if need.stream == channel.stream}
        yield from _fields(channel, schema, needed=needed, prepared=prepare)
        yield from _rights(hub, channel)
    yield from _webhooks(settings, one)


def _fields(
    channel: Channel, schema: StreamSchema, *, needed: Set[str], prepared: bool
) -> Iterator[Finding]:
    """Compares the names in a mapping with the fields that there are.

    A custom field that nothing connected can fill is not `needed`, and may be missing.
    """
    stream = channel.stream
    spared = {one.name for one in channel.mapping.custom_fields} - needed
    lacking = [n for n in channel.mapping.names if not _known(n, schema)]
    missing = [n for n in lacking if n.rpartition(".")[2] not in spared]
    creatable = [n for n in missing if n.rpartition(".")[2] in needed]
    if creatable and not prepared:
        names = ", ".join(creatable)
        yield Finding("warning", f"{stream} lacks {names}", f"`{PREPARE}` creates what is missing")
    for name in missing:
        if name not in creatable or prepared:
            hint = nearest(name, _close(name, schema))
            yield Finding(
                "error",
                f"{stream} has no field {name!r}, which is mapped in"
                f" {_short(channel.mapping.names[name])}{hint}",
                "correct the mapping, or create the field in the system",
            )
    yield from _required(channel, schema)
    if not missing:
        yield Finding(
            "ok", f"{stream}: all {len(channel.mapping.names) - len(lacking)} mapped fields exist"
        )


def _short(place: str) -> str:
    """Returns file and line without the folders around the system's own.

    >>> _short("/home/ann/maps/erp/company.yaml:7")
    'erp/company.yaml:7'
    """
    return "/".join(Path(place).parts[-2:])


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
    """A policy that wants to create where the stream cannot is a promise that cannot be kept."""
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
