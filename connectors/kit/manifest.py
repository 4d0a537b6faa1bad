"""The schema of manifest.yaml: facts about a system that the hub adapts to."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

#: The C parser where there is one: it reads all manifests ten times faster.
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ManifestError(Exception):
    """A manifest.yaml is wrong; the message names the file, the place and what to do."""


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StreamFacts(_Facts):
    """What a stream can do. The hub never relies on what is not claimed here."""

    #: For people: what the records are.
    title: str
    create: bool = False
    update: bool = False
    delete: bool = False
    #: Names of the transitions that `Act` accepts.
    actions: tuple[str, ...] = ()
    #: native: the system refuses a stale `expected`. told: it does not, but its outcome tells what
    #: was `overwritten`. none: the hub reads just before it writes, without a guarantee.
    lock: Literal["native", "told", "none"] = "none"
    #: The field that carries `Create.once`; None: creates are probed by match keys only.
    once: str | None = None
    #: increments: `pages(since)` brings only what changed; full: it always reads everything.
    read: Literal["increments", "full"] = "increments"
    #: Deletions come with `pages` (tombstones) or only show in a sweep of `keys`.
    deletions: Literal["pages", "sweep"] = "sweep"
    #: Maximum number of records per `fetch` or `write` call.
    batch: int = Field(default=100, ge=1, le=10_000)
    #: The scopes or rights that reading and writing this stream need.
    scopes: tuple[str, ...] = ()


class SettingFacts(_Facts):
    """One setting of a connection in tulay.yaml."""

    help: str
    type: Literal["text", "integer", "number", "boolean", "url", "list"] = "text"
    required: bool = False
    secret: bool = False
    default: Any = None


class LimitFacts(_Facts):
    """Rate limits as documented; the API's own headers correct them while running."""

    #: Requests per `per_seconds`.
    requests: int = Field(ge=1)
    per_seconds: float = Field(gt=0)
    #: Calls of these lanes have a bucket of their own, such as HubSpot's search.
    lanes: dict[str, tuple[int, float]] = {}
    #: Requests a day, when the vendor counts them.
    daily: int | None = None


class Manifest(_Facts):
    """manifest.yaml of one connector folder."""

    #: The system's name in tulay.yaml; the folder's name.
    system: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    #: crm | erp | both: only used as a default for a connection's role.
    role: Literal["crm", "erp", "both"]
    #: "package.module:Class" of the Connector.
    connector: str = Field(pattern=r"^[\w.]+:\w+$")
    #: "package.module:start" of the twin, when there is one.
    twin: str | None = None
    #: API versions this connector was written for.
    versions: tuple[str, ...] = ()
    streams: dict[str, StreamFacts]
    settings: dict[str, SettingFacts] = {}
    limits: LimitFacts | None = None
    #: The API can call our receiver; `verify` and `notifications` work.
    webhooks: bool = False
    #: The quality scale of connectors/README.md: rule -> done | todo | "exempt: why".
    quality: dict[str, str] = {}


def read_manifest(path: Path) -> Manifest:
    """Reads one manifest.yaml. Raises: ManifestError with the file and the place."""
    try:
        found = path.stat()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    return _read_once(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=256)  # commands and tests ask for all manifests several times
def _read_once(path: Path, _changed_ns: int, _size: int) -> Manifest:
    try:
        facts = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe one
        return Manifest.model_validate(facts)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ManifestError(
            f"{path}{line}: not valid YAML; check indentation and quotes"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ManifestError(f"{path}: {place}: {first['msg']}") from error
