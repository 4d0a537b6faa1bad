"""The connections of tulay.yaml, checked against the manifests of their systems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import SecretStr

from connectors.kit.manifest import Manifest, SettingFacts
from connectors.kit.registry import RegistryError, check_settings
from hub.settings.secrets import References, is_reference, refers
from hub.settings.shape import BudgetSettings, ConnectionText
from mappings.kit.files import nearest

Role = Literal["crm", "erp", "both"]

#: Valid names of connections, which appear in addresses, tables and commands.
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
#: Names of origins that are not connections, and words of policies.
_TAKEN = ("ask", "any", "both", "flow", "hub", "latest", "person")
#: Keys of a connection that are not settings of its system.
RESERVED = tuple(ConnectionText.model_fields)


@dataclass(frozen=True)
class ConnectionSettings:
    """One configured account, ready to be opened."""

    name: str
    manifest: Manifest = field(repr=False)
    role: Role
    #: The settings of the manifest, with defaults; secrets as SecretStr.
    settings: Mapping[str, Any] = field(repr=False)
    #: The settings as written, references unresolved: safe to show.
    written: Mapping[str, Any] = field(repr=False)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    #: In a rehearsal: the system that plays this one, and its settings.
    played_by: tuple[str, Mapping[str, Any]] | None = None

    @property
    def system(self) -> str:
        """The system's name."""
        return self.manifest.system

    def revealed(self) -> dict[str, Any]:
        """Returns the settings for the connector, secrets in plain text."""
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in self.settings.items()
        }

    def plays(self, role: str) -> bool:
        """Returns True if the connection has this role, or both."""
        return self.role in (role, "both")


def connection(
    name: str, text: ConnectionText, *, manifests: Mapping[str, Manifest], references: References
) -> ConnectionSettings:
    """Returns a connection whose settings fit its system. Raises: SettingsError."""
    file = references.file
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise file.error(
            f"{name!r} cannot be a connection's name; use up to 40 lower case letters, digits, - or"
            f" _, and none of {', '.join(_TAKEN)}",
            "connections",
            name,
        )
    manifest = manifests.get(text.system)
    if manifest is None:
        raise file.error(
            f"there is no connector for the system {text.system!r}"
            f"{nearest(text.system, manifests)}; see `tulay connectors list`",
            "connections",
            name,
            "system",
        )
    given = dict(text.model_extra or {})
    checked = _Checked(name, manifest, references)
    return ConnectionSettings(
        name=name,
        manifest=manifest,
        role=text.role or _role(name, manifest),
        settings=checked.settings(given),
        written=given,
        budget=text.budget or BudgetSettings(),
    )


def _role(name: str, manifest: Manifest) -> Role:
    # A system that can be both has the role that its connection is named after.
    if manifest.role == "both" and name in ("crm", "erp"):
        return "crm" if name == "crm" else "erp"
    return manifest.role


@dataclass(frozen=True)
class _Checked:
    name: str
    manifest: Manifest
    references: References

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Returns all settings of the manifest; refuses unknown, missing and invalid ones."""
        file, known = self.references.file, self.manifest.settings
        for setting in given:
            if setting not in known:
                hint = nearest(setting, [*known, *RESERVED])
                raise file.error(
                    f"{self.manifest.system} has no setting {setting!r}{hint}; correct the name or"
                    " remove it",
                    *self._at(setting),
                )
        return {
            setting: self._setting(setting, facts, given.get(setting))
            for setting, facts in known.items()
            if setting not in RESERVED
        }

    def _at(self, setting: str) -> tuple[str, ...]:
        return ("connections", self.name, setting)

    def _setting(self, setting: str, facts: SettingFacts, written: Any) -> Any:
        file = self.references.file
        if written is None:
            if facts.required:
                raise file.error(self._missing(setting, facts), "connections", self.name)
            return facts.default
        if facts.secret:
            self._refuse_literal(setting, written)
        if self.references.rehearsal and isinstance(written, str) and refers(written):
            return facts.default
        value = written
        if isinstance(written, str):
            value = self.references.resolve(written, *self._at(setting))
        alone = self.manifest.model_copy(update={"settings": {setting: facts}})
        try:
            checked = check_settings(alone, {setting: value})[setting]
        except RegistryError as error:
            raise file.error(f"connections.{self.name}: {error}", *self._at(setting)) from None
        hidden = facts.secret or (isinstance(written, str) and refers(written))
        return SecretStr(checked) if hidden and isinstance(checked, str) else checked

    def _missing(self, setting: str, facts: SettingFacts) -> str:
        variable = f"{self.manifest.system}_{setting}".upper()
        example = f"${{{variable}}}" if facts.secret else "..."
        problem = f"connections.{self.name} ({self.manifest.system}) needs the setting {setting!r}"
        return f"{problem}: {facts.help.rstrip('.')}; add `{setting}: {example}`"

    def _refuse_literal(self, setting: str, written: Any) -> None:
        if isinstance(written, str) and is_reference(written):
            return
        variable = f"{self.manifest.system}_{setting}".upper()
        raise self.references.file.error(
            f"connections.{self.name}.{setting} is a secret and must not be in this file, which"
            " gets copied, committed and mailed; put it into an environment variable and write"
            f" `{setting}: ${{{variable}}}`, or into a file and write"
            f" `{setting}: ${{file:/path}}`",
            *self._at(setting),
        )
