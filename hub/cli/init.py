"""`tulay init`: writes a commented tulay.yaml from what the systems' manifests ask for.

Never overwrites a file, and never writes a secret: only where it will be found.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer
import yaml

from connectors.kit.manifest import Manifest, SettingFacts
from connectors.kit.registry import manifests
from hub.cli.completion import complete_system
from hub.cli.session import command, session
from hub.errors import SettingsError
from hub.settings import default_path
from hub.settings.connection_settings import RESERVED
from hub.settings.secrets import is_reference
from mappings.kit.files import nearest

_TAIL = """
# Who may set what, and who wins. Without this the shipped policies hold; see
# `tulay config policies`. Names are connections or the roles crm and erp.
# policies:
#   company:
#     create: [crm, erp]
#     fields:
#       phone: {on_conflict: latest}
#       address: {owner: erp, unit: true}

# What follows from what; all on by default. See `tulay config show`.
# flows: {won_deal_to_order: true, thank_you: true}

# How often is looked; webhooks only make it faster.
# schedules: {pull: 60s, sweep: 24h}

# A run that would change or delete more than both of these waits for approval; so do small runs
# that together delete as much, or change a bigger share (window_share), within an hour.
# limits: {share: 0.2, records: 50, window: 1h, window_share: 0.5}

# Where webhooks, health and metrics are served.
# web: {host: 127.0.0.1, port: 8420, public_url: https://tulay.example.com}
"""

_HEAD = """\
# Tulay keeps these systems telling the same story. `tulay check` looks at what is written here,
# `tulay config schema` prints a JSON Schema for editors.

# Where the hub remembers everything: a file beside this one, or PostgreSQL.
database: sqlite:///tulay.db
# database: postgresql://tulay:${TULAY_DB_PASSWORD}@localhost/tulay
# redis_url: redis://localhost:6379/0   # lets web, worker and scheduler run apart

connections:
"""


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def init(
        ctx: typer.Context,
        system: Annotated[
            list[str] | None,
            typer.Option(
                "--system",
                metavar="NAME=SYSTEM",
                help="A connection, such as crm=hubspot.",
                autocompletion=complete_system,
            ),
        ] = None,
        setting: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="NAME.SETTING=VALUE", help="crm.token='${TOKEN}'."),
        ] = None,
        yes: Annotated[
            bool, typer.Option("--yes", "-y", help="Ask nothing; so without a terminal.")
        ] = False,
    ) -> None:
        """Write a commented tulay.yaml; asks which systems to connect, and for their settings."""
        path = session(ctx).config or default_path()
        if path.exists():
            raise SettingsError(
                f"{path} exists and is not overwritten; edit it, move it away, or name another file"
                " with --config"
            )
        known = manifests()
        asked = _Asked(
            known,
            _pairs(setting or (), "--set", "crm.token=VALUE"),
            silent=yes or not interactive(),
        )
        chosen = _pairs(system or (), "--system", "crm=hubspot") or asked.systems()
        blocks = [_connection(name, asked.manifest(s), asked) for name, s in chosen.items()]
        asked.refuse_leftovers(chosen)
        path.write_text(_HEAD + "\n".join(blocks) + _TAIL, encoding="utf-8")
        screen = session(ctx).screen
        screen.document({"written": str(path), "environment": asked.variables})
        screen.say(f"{path} is written.")
        if asked.variables:
            screen.say(f"Set {', '.join(asked.variables)} in the environment, then:")
        screen.note("  tulay check --prepare   looks at everything, creates missing fields")
        screen.note("  tulay sync --once       brings all sides together")


def interactive() -> bool:
    """Returns True if a person can answer."""
    return sys.stdin.isatty()


def _pairs(items: Sequence[str], option: str, example: str) -> dict[str, str]:
    found = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name or not value:
            raise typer.BadParameter(f"{item!r} is not of the form {option} {example}")
        found[name.strip()] = value.strip()
    return found


@dataclass
class _Asked:
    """What the options or the person say."""

    known: Mapping[str, Manifest]
    given: Mapping[str, str]
    silent: bool
    #: Environment variables that the file refers to.
    variables: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def systems(self) -> dict[str, str]:
        """Asks which system is the CRM and which the ERP."""
        if self.silent:
            raise SettingsError(
                "no systems are named, and without a terminal or with --yes nothing is asked: add"
                " --system crm=hubspot --system erp=tryton, one per connection; there are"
                f" {', '.join(sorted(self.known))}"
            )
        fitting = {
            # A system that can play either part, such as the memory system, comes last.
            role: sorted(
                (n for n, m in self.known.items() if m.role in (role, "both")),
                key=lambda name: (self.known[name].role == "both", name),
            )
            for role in ("crm", "erp")
        }
        return {
            role: typer.prompt(f"Which system is the {role.upper()} ({', '.join(names)})", names[0])
            for role, names in fitting.items()
            if names
        }

    def manifest(self, system: str) -> Manifest:
        """Returns a system's manifest. Raises: SettingsError."""
        if system not in self.known:
            raise SettingsError(
                f"there is no connector for the system {system!r}{nearest(system, self.known)}; see"
                " `tulay connectors list`"
            )
        return self.known[system]

    def value(self, connection: str, manifest: Manifest, name: str) -> str | None:
        """Returns what to write for a setting; None to leave it out."""
        facts = manifest.settings[name]
        place = f"{connection}.{name}"
        variable = f"${{{manifest.system}_{name}}}".upper()
        if place in self.given:
            self.used.add(place)
            return self._checked(place, facts, self.given[place], variable)
        if self.silent:
            if facts.required and not facts.secret:
                raise SettingsError(
                    f"{connection} ({manifest.system}) needs {name}: {facts.help}; add"
                    f" --set {place}=..."
                )
            return self._checked(place, facts, variable if facts.required else "", variable)
        if not facts.required and not facts.secret:
            return None
        return self._checked(place, facts, self._ask(place, facts, variable), variable)

    def _ask(self, place: str, facts: SettingFacts, variable: str) -> str:
        words = f"{place}: {facts.help.rstrip('.')}"
        if facts.secret:
            words += f"; where is it? {variable} is a variable, ${{file:/path}} a file"
        if not facts.required:
            words += "; empty to leave it out"
        default = (variable if facts.secret else None) if facts.required else ""
        answer: str = typer.prompt(words, default=default, show_default=bool(default))
        return answer.strip()

    def _checked(self, place: str, facts: SettingFacts, value: str, variable: str) -> str | None:
        if not value:
            return None
        if facts.secret and not is_reference(value):
            raise SettingsError(
                f"{place} is a secret and does not belong into a file; put it into an environment"
                f" variable and say {place}='{variable}', or into a file and say"
                f" {place}='${{file:/path}}'"
            )
        if is_reference(value) and not value.startswith("${file:"):
            self.variables.append(value.strip()[2:-1])
        return value

    def refuse_leftovers(self, chosen: Mapping[str, str]) -> None:
        """Refuses settings that no chosen system has."""
        places = [f"{c}.{name}" for c, s in chosen.items() for name in self.manifest(s).settings]
        for place in self.given:
            if place not in self.used:
                raise SettingsError(f"--set {place}: no such setting{nearest(place, places)}")


def _connection(name: str, manifest: Manifest, asked: _Asked) -> str:
    return "".join(f"{line}\n" for line in _lines(name, manifest, asked))


def _lines(name: str, manifest: Manifest, asked: _Asked) -> Iterator[str]:
    yield f"  {name}:"
    yield f"    system: {manifest.system}   # {manifest.title}"
    if manifest.role == "both" and name not in ("crm", "erp"):
        yield "    # role: crm   # or erp, or both"
    for setting, facts in manifest.settings.items():
        if setting in RESERVED:
            continue
        for line in textwrap.wrap(facts.help, 92):
            yield f"    # {line}"
        value = asked.value(name, manifest, setting)
        if value is not None:
            yield f"    {setting}: {_scalar(value)}"
        else:
            yield f"    # {setting}: {_example(manifest, setting)}".rstrip()


def _example(manifest: Manifest, setting: str) -> str:
    facts = manifest.settings[setting]
    if facts.secret:
        return f"${{{manifest.system}_{setting}}}".upper()
    return "" if facts.default is None else _scalar(facts.default)


def _scalar(value: object) -> str:
    """Returns a value as one YAML word."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.removesuffix("\n").removesuffix("...").rstrip()
