"""`tulay config`: what holds after tulay.yaml, environment and shipped policies; never a secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
import yaml
from sqlalchemy.engine import make_url

from hub.cli.completion import complete_entity
from hub.cli.entity_names import checked_entity
from hub.cli.screen import plain
from hub.cli.session import command, group, session
from hub.model.policy import EntityPolicy, FieldPolicy
from hub.settings import Settings, default_path, json_schema, resolve_policies
from hub.settings.connection_settings import ConnectionSettings
from hub.settings.shape import BudgetSettings
from hub.store.tokens import fresh_key
from hub.wiring import entities_of, load_mappings


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    nouns = group("What is configured: show, policies, key, schema.")
    app.add_typer(nouns, name="config")

    @command(nouns)
    def show(ctx: typer.Context) -> None:
        """Show the settings that hold; secrets only by where they come from."""
        found = shown_settings(session(ctx).settings())
        screen = session(ctx).screen
        screen.document(found)
        screen.raw(_yaml(found))

    @command(nouns)
    def policies(
        ctx: typer.Context,
        entity: Annotated[
            str | None,
            typer.Argument(help="Only this entity.", autocompletion=complete_entity),
        ] = None,
    ) -> None:
        """Show the policies that hold, with connections instead of roles."""
        settings = session(ctx).settings()
        entities = entities_of(load_mappings(settings))
        if entity is not None:
            checked_entity(entity, entities)
        found = {
            name: shown_policy(policy)
            for name, policy in resolve_policies(
                settings.policies, settings.connections, entities
            ).items()
            if entity in (None, name)
        }
        screen = session(ctx).screen
        screen.document(found)
        screen.raw(_yaml(found))

    @command(nouns)
    def key(ctx: typer.Context) -> None:
        """Print a fresh key for `secret_key`, which encrypts stored OAuth tokens."""
        made = fresh_key()
        screen = session(ctx).screen
        screen.document({"secret_key": made})
        screen.raw(made)

    @command(nouns)
    def schema(ctx: typer.Context) -> None:
        """Print the JSON Schema of tulay.yaml, for editors."""
        path = session(ctx).config or default_path()
        folders = session(ctx).settings().connector_folders if path.is_file() else ()
        typer.echo(json.dumps(json_schema(folders), indent=2))


def shown_settings(settings: Settings) -> dict[str, Any]:
    """Returns the settings that hold, fit to be shown."""
    return {
        "file": str(settings.path),
        "database": make_url(settings.database).render_as_string(hide_password=True),
        "redis_url": None if settings.redis_url is None else str(settings.redis_url),
        "secret_key": settings.file.content.get("secret_key"),
        "connectors": [str(folder) for folder in settings.connector_folders],
        "mappings": [str(folder) for folder in settings.mapping_folders],
        "connections": {name: _connection(one) for name, one in settings.connections.items()},
        "flows": settings.flows.model_dump(),
        "schedules": plain(settings.schedules.model_dump()),
        "limits": plain(settings.limits.model_dump()),
        "web": settings.web.model_dump(),
    }


def _connection(one: ConnectionSettings) -> dict[str, Any]:
    """Returns a connection as it was written, with the defaults of its system."""
    return {
        "system": one.system,
        "role": one.role,
        **({} if one.budget == BudgetSettings() else {"budget": one.budget.model_dump()}),
        **{name: one.written.get(name, plain(value)) for name, value in one.settings.items()},
    }


def shown_policy(policy: EntityPolicy) -> dict[str, Any]:
    """Returns a policy in the words of tulay.yaml."""
    return {
        "create": sorted(policy.create),
        **({} if policy.imports is None else {"import": sorted(policy.imports)}),
        "delete": policy.delete,
        "default": _field(policy.fields.get("", FieldPolicy())),
        "fields": {path: _field(one) for path, one in policy.fields.items() if path},
    }


def _field(policy: FieldPolicy) -> dict[str, Any]:
    said: dict[str, Any] = {
        "owner": "any" if policy.owners is None else sorted(policy.owners),
        "on_conflict": policy.on_conflict,
        "on_first_match": policy.on_first_match,
        "when_blank": policy.when_blank,
    }
    return said if policy.unit is None else {**said, "unit": policy.unit}


def _yaml(found: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(found), sort_keys=False, width=78)
    return text.rstrip()
