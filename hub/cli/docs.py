"""`tulay docs`: reference pages made from the code and the mappings; writes no file itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from hub.cli.completion import complete_entity
from hub.cli.entity_names import checked_entity
from hub.cli.session import Session, command, group, session
from hub.settings import default_path
from hub.wiring import Mappings, entities_of, load_mappings
from mappings.kit.dictionary import EntityEntry, FieldEntry, dictionary
from mappings.kit.loader import load_all, shipped

_HEAD = """\
# Entities

The canonical entities, parents before children: their fields, the kind of each, and the streams
that map it. The kinds are described in `mappings/canonical/values.py`. A stream without a word in
brackets is read and written; `(read)` is never written, `(write)` belongs to the hub, `(constant)`
is the same for each record of the stream.

`tulay docs entities --markdown` prints this page; beside a `tulay.yaml` it is about the systems and
the mappings of that file. Do not edit it by hand.
"""


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    nouns = group("Reference pages: entities.")
    app.add_typer(nouns, name="docs")

    @command(nouns)
    def entities(
        ctx: typer.Context,
        entity: Annotated[
            list[str] | None,
            typer.Argument(help="Only these entities.", autocompletion=complete_entity),
        ] = None,
        markdown: Annotated[
            bool, typer.Option("--markdown", help="Print a page in Markdown.")
        ] = False,
    ) -> None:
        """List entities, their fields and the streams that map each.

        Uses the mappings of tulay.yaml; without one, those that come with Tulay.
        """
        found = _chosen(_entries(session(ctx)), entity or ())
        screen = session(ctx).screen
        screen.document({"entities": [asdict(one) for one in found]})
        if markdown:
            screen.raw(page(found).rstrip("\n"))
            return
        screen.table(
            ["entity", "field", "kind", "mapped by"],
            [
                (one.name, field.path, field.shown_kind, _streams(field))
                for one in found
                for field in one.fields
            ],
            empty="no entities",
        )


def page(entries: Iterable[EntityEntry]) -> str:
    """Returns the page about entities, in Markdown."""
    return "\n".join([_HEAD, *(line for one in entries for line in _section(one))])


def _entries(session: Session) -> list[EntityEntry]:
    """Returns the entities as the user maps them; as shipped when there is no tulay.yaml."""
    if session.config is None and not default_path().is_file():
        found: Mappings = load_all(shipped())
    else:
        found = load_mappings(session.settings())
    return dictionary(entities_of(found), found)


def _chosen(entries: Sequence[EntityEntry], names: Sequence[str]) -> list[EntityEntry]:
    known = [one.name for one in entries]
    for name in names:
        checked_entity(name, known)
    return [one for one in entries if not names or one.name in names]


def _section(entry: EntityEntry) -> Iterator[str]:
    yield f"## {entry.name}\n"
    if entry.match:
        ways = "; ".join(" and ".join(f"`{path}`" for path in paths) for paths in entry.match)
        yield f"Records of two systems are the same if they agree in one of: {ways}.\n"
    yield "| field | kind | mapped by | meaning |"
    yield "|---|---|---|---|"
    for field in entry.fields:
        options = ", ".join(f"`{option}`" for option in field.options)
        meaning = "; ".join(text for text in (field.help, options) if text)
        cells = (f"`{field.path}`", field.shown_kind, _streams(field) or "-", meaning)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _streams(field: FieldEntry) -> str:
    return ", ".join(map(str, field.mapped_by))
