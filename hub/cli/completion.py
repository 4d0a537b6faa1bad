"""What a shell offers for an argument: entities, connections, systems.

Opens no store and loads no connector. Whatever cannot be read offers nothing: a message would
stand in the middle of the line that is being typed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:  # loaded when a shell asks
    from mappings.canonical.values import Entity


def complete_entity(ctx: typer.Context, incomplete: str) -> list[str]:
    """Returns the entities that begin so, without those that the command has already."""
    return _beginning(incomplete, _entities(), given=_given(ctx, "entity"))


def complete_field(ctx: typer.Context, incomplete: str) -> list[str]:
    """Returns the fields, branches and lists of the entity before it that begin so."""
    entity = _entities().get(str(ctx.params.get("entity")))
    if entity is None:
        return []
    branches = {path.partition(".")[0]: None for path in entity.fields}
    return _beginning(incomplete, {**branches, **entity.fields, **entity.lists})


def complete_connection(ctx: typer.Context, incomplete: str) -> list[str]:
    """Returns the connections of tulay.yaml that begin so."""
    return _beginning(incomplete, _connections(ctx), given=_given(ctx, "connection"))


def complete_system(incomplete: str) -> list[str]:
    """Returns `crm=SYSTEM` and `erp=SYSTEM` that begin so; after another name and `=`, all."""
    from connectors.kit.registry import manifests

    found = manifests()
    name, equals, _ = incomplete.partition("=")
    if equals and name not in ("crm", "erp"):
        return _beginning(incomplete, [f"{name}={system}" for system in sorted(found)])
    pairs = [
        f"{role}={system}"
        for role in ("crm", "erp")
        for system in sorted(found)
        if found[system].role in (role, "both")
    ]
    return _beginning(incomplete, pairs)


def _entities() -> Mapping[str, Entity]:
    from mappings.canonical.entities import ENTITIES

    return ENTITIES


def _connections(ctx: typer.Context) -> list[str]:
    """Returns the names under `connections:`; none of a file that cannot be read."""
    import yaml

    try:
        content = yaml.safe_load(_config(ctx).read_bytes())
    except (OSError, ValueError, yaml.YAMLError):
        return []
    written = content.get("connections") if isinstance(content, dict) else None
    return [str(name) for name in written] if isinstance(written, dict) else []


def _config(ctx: typer.Context) -> Path:
    """Returns the tulay.yaml that the command would use."""
    from hub.settings import default_path

    context: Any = ctx
    while context is not None:
        if context.params.get("config"):
            return Path(context.params["config"])
        context = context.parent
    return default_path()


def _given(ctx: typer.Context, name: str) -> Collection[str]:
    """Returns what an argument that takes several has already."""
    value = ctx.params.get(name)
    return value if isinstance(value, list | tuple) else ()


def _beginning(incomplete: str, words: Iterable[str], *, given: Collection[str] = ()) -> list[str]:
    return [word for word in words if word.startswith(incomplete) and word not in given]
