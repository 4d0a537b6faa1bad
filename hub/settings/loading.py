"""Reads tulay.yaml and the environment into checked settings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, SecretStr, ValidationError

from connectors.kit.manifest import Manifest
from connectors.kit.registry import catalogue
from hub.errors import SettingsError, UnknownError
from hub.flows.settings import FlowSettings
from hub.settings.connection_settings import ConnectionSettings, connection
from hub.settings.file import SettingsFile, read_settings
from hub.settings.policies import check_policies
from hub.settings.renamed_keys import RENAMES
from hub.settings.secrets import References, is_reference
from hub.settings.shape import EntityPolicyText, Limits, Schedules, TulayFile, Web
from mappings.kit.files import nearest

FILE = "tulay.yaml"
#: 32 bytes, as printed by `tulay config key`.
_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")


class Overrides(BaseModel):
    """Settings that the environment overrides: TULAY_CONFIG, TULAY_DATABASE, ..."""

    config: Path | None = None
    database: SecretStr | None = None
    redis_url: SecretStr | None = None

    @classmethod
    def read(cls) -> Overrides:
        """Returns the overrides of this process; an empty variable counts as unset."""
        given = {name.lower(): value for name, value in os.environ.items() if value}
        return cls.model_validate({name: given.get(f"tulay_{name}") for name in cls.model_fields})


@dataclass(frozen=True)
class Settings:
    """The checked settings of tulay.yaml and the environment."""

    path: Path
    #: Address of the store; may hold a password.
    database: str = field(repr=False)
    redis_url: SecretStr | None
    #: Keys for stored OAuth tokens: the first one encrypts, all decrypt.
    secret_keys: tuple[SecretStr, ...]
    connector_folders: tuple[Path, ...]
    mapping_folders: tuple[Path, ...]
    connections: Mapping[str, ConnectionSettings]
    #: As written; see `resolve_policies`.
    policies: Mapping[str, EntityPolicyText] = field(repr=False)
    flows: FlowSettings
    schedules: Schedules
    limits: Limits
    web: Web
    #: All known connectors, by system.
    manifests: Mapping[str, Manifest] = field(repr=False)
    #: The source, for errors found later.
    file: SettingsFile = field(repr=False)

    def connection(self, name: str) -> ConnectionSettings:
        """Returns the settings of a connection. Raises: UnknownError."""
        try:
            return self.connections[name]
        except KeyError as error:
            hint = nearest(name, self.connections)
            raise UnknownError(
                f"there is no connection {name!r} in {self.file.shown}{hint}"
            ) from error


def default_path() -> Path:
    """Returns the default path of tulay.yaml: TULAY_CONFIG, or the working directory."""
    return Overrides.read().config or Path(FILE)


def load_settings(
    path: str | Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    rehearsal: bool = False,
) -> Settings:
    """Returns the settings in a file, with secrets and overrides from the environment.

    A `rehearsal` contacts none of the systems, so that their secrets are not needed.

    Raises: SettingsError, whose message begins with file and line.
    """
    return _loading(path, environ=environ, rehearsal=rehearsal).settings()


def connector_folders(path: str | Path | None = None) -> tuple[Path, ...]:
    """Returns the connector folders that a file names; none if there is no file.

    Needs no secrets, so that an emulator can be started before its token is known.

    Raises: SettingsError.
    """
    file = Path(path) if path is not None else default_path()
    return _loading(file).connector_folders() if path or file.is_file() else ()


def _loading(
    path: str | Path | None,
    *,
    environ: Mapping[str, str] | None = None,
    rehearsal: bool = False,
) -> _Loading:
    file = read_settings(Path(path) if path is not None else default_path(), renames=RENAMES)
    try:
        text = TulayFile.model_validate(dict(file.content))
    except ValidationError as error:
        # from None: pydantic's error contains the values.
        raise file.invalid(TulayFile, error) from None
    known = os.environ if environ is None else environ
    return _Loading(file, text, References(file, known, rehearsal))


@dataclass(frozen=True)
class _Loading:
    file: SettingsFile
    text: TulayFile
    references: References

    def connector_folders(self) -> tuple[Path, ...]:
        return self._folders("connectors", self.text.connectors)

    def settings(self) -> Settings:
        folders = self.connector_folders()
        found = catalogue(folders)
        manifests = {system: one.manifest for system, one in found.found.items()}
        connections = self._connections(manifests, found.problems)
        check_policies(self.file, self.text.policies, connections=connections)
        self._check_schedules(connections)
        overrides = Overrides.read()
        return Settings(
            path=self.file.path,
            database=self._database(overrides),
            redis_url=overrides.redis_url or self._redis_url(),
            secret_keys=self._secret_keys(),
            connector_folders=folders,
            mapping_folders=self._folders("mappings", self.text.mappings),
            connections=connections,
            policies=self.text.policies,
            flows=self.text.flows,
            schedules=self.text.schedules,
            limits=self.text.limits,
            web=self.text.web,
            manifests=manifests,
            file=self.file,
        )

    def _folders(self, key: str, names: Sequence[str]) -> tuple[Path, ...]:
        folders = tuple((self.file.folder / Path(name).expanduser()) for name in names)
        for number, folder in enumerate(folders):
            if not folder.is_dir():
                raise self.file.error(
                    f"{key}: there is no folder {names[number]}; create it or correct the path",
                    *(key, number),
                )
        return folders

    def _connections(
        self, manifests: Mapping[str, Manifest], problems: Sequence[str]
    ) -> dict[str, ConnectionSettings]:
        if not self.text.connections:
            raise self.file.error(
                "there is no connection; add one per system, or start with `tulay init`",
                "connections",
            )
        try:
            return {
                name: connection(name, text, manifests=manifests, references=self.references)
                for name, text in self.text.connections.items()
            }
        except SettingsError as error:
            broken = "".join(f"\nalso broken: {problem}" for problem in problems)
            raise SettingsError(f"{error}{broken}") if broken else error from None

    def _check_schedules(self, connections: Mapping[str, ConnectionSettings]) -> None:
        known = [f"{n}.{s}" for n, c in connections.items() for s in c.manifest.streams]
        for name in self.text.schedules.streams:
            if name not in known:
                raise self.file.error(
                    f"schedules.streams: there is no stream {name!r}{nearest(name, known)}; write"
                    " connection.stream",
                    *("schedules", "streams", name),
                )

    def _database(self, overrides: Overrides) -> str:
        if overrides.database is not None:
            return overrides.database.get_secret_value()
        written = self.text.database or "sqlite:///tulay.db"
        url = self.references.resolve(written, "database")
        if "://" in url and not url.startswith("sqlite:///"):
            return url
        # Relative to tulay.yaml, not to the working directory.
        return f"sqlite:///{self.file.folder / Path(url.removeprefix('sqlite:///')).expanduser()}"

    def _secret_keys(self) -> tuple[SecretStr, ...]:
        written = self.text.secret_key
        keys = [] if written is None else [written] if isinstance(written, str) else written
        return tuple(self._secret_key(key) for key in keys)

    def _secret_key(self, written: str) -> SecretStr:
        if not is_reference(written):
            raise self.file.error(
                "secret_key is a secret and must not be in this file: put it into an environment"
                " variable and write `secret_key: ${TULAY_SECRET_KEY}`, or into a file and write"
                " `secret_key: ${file:/path}`",
                "secret_key",
            )
        value = self.references.resolve(written, "secret_key")
        if not _KEY.fullmatch(value):
            raise self.file.error(
                f"secret_key: {written} is not a key; print one with `tulay config key`",
                "secret_key",
            )
        return SecretStr(value)

    def _redis_url(self) -> SecretStr | None:
        if self.text.redis_url is None:
            return None
        return SecretStr(self.references.resolve(self.text.redis_url, "redis_url"))
