"""Finds connectors by their manifest.yaml and opens them with checked settings.

Ours lie in the package `connectors`; others come as installed packages (entry point group
`tulay.connectors`, the value names the package) or as plain folders, which need no installation.
A broken folder is reported and does not affect the others.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import connectors
from connectors.kit.budget import Budget
from connectors.kit.contract import Connector
from connectors.kit.manifest import Manifest, ManifestError, SettingFacts, read_manifest

GROUP = "tulay.connectors"


class RegistryError(Exception):
    """A connector cannot be found, loaded or opened; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Found:
    """One connector folder."""

    manifest: Manifest
    folder: Path
    #: Whether it is a plain folder: its package is imported from there.
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All usable connectors, by system, and the problems of the others."""

    found: Mapping[str, Found] = field(default_factory=dict)
    #: One line for each broken folder or entry point.
    problems: Sequence[str] = ()


def catalogue(folders: Iterable[str | Path] = ()) -> Catalogue:
    """Searches all places; `folders` are those of the hub's setting `connectors`.

    The first connector of a name wins: ours, then installed ones, then plain folders.
    """
    found: dict[str, Found] = {}
    problems: list[str] = []
    for place in (*_ours(), *_installed(problems), *_plain(folders, problems)):
        folder, plain = place
        try:
            manifest = read_manifest(folder / "manifest.yaml")
        except ManifestError as error:
            problems.append(str(error))
            continue
        other = found.setdefault(manifest.system, Found(manifest, folder, plain))
        if other.folder.resolve() != folder.resolve():
            problems.append(
                f"{folder}: the system {manifest.system!r} is already in {other.folder}; "
                "change `system` in its manifest.yaml"
            )
    return Catalogue(found, tuple(problems))


def manifests(folders: Iterable[str | Path] = ()) -> dict[str, Manifest]:
    """Returns the manifest of every usable connector, by system."""
    return {system: one.manifest for system, one in catalogue(folders).found.items()}


def open_connector(
    system: str,
    settings: Mapping[str, Any],
    budget: Budget,
    *,
    folders: Iterable[str | Path] = (),
    **extras: Any,
) -> Connector:
    """Opens a connector; `extras` go to its class as they are (a token store, a transport).

    Raises: RegistryError when there is no such connector, it does not load, or settings are wrong.
    """
    known = catalogue(folders)
    if system not in known.found:
        raise RegistryError(_unknown("connector", system, known.found) + _because(known.problems))
    one = known.found[system]
    checked = check_settings(one.manifest, settings)
    return cast(Connector, _class_of(one)(checked, budget, **extras))


def accepts(one: Found, extra: str) -> bool:
    """Returns True if a connector's class takes this extra (`fields`, `tokens`, `transport`).

    Raises: RegistryError when it does not load.
    """
    return extra in inspect.signature(_class_of(one)).parameters


def check_settings(manifest: Manifest, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings with defaults, each in its declared type. Raises: RegistryError.

    Text that spells a number or boolean is read as one: environment variables are always text.
    """
    for name in settings:
        if name not in manifest.settings:
            raise RegistryError(_unknown(f"{manifest.system} setting", name, manifest.settings))
    return {
        name: _setting(manifest.system, name, facts=facts, value=settings.get(name))
        for name, facts in manifest.settings.items()
    }


def _setting(system: str, name: str, *, facts: SettingFacts, value: Any) -> Any:
    if value is None or value == "":
        if facts.required:
            raise RegistryError(f"{system} needs the setting {name!r}: {facts.help}")
        return facts.default
    read, what = _TYPES[facts.type]
    try:
        return read(value)
    except ValueError as error:
        # from None: the value may be a secret, and ValueError shows it.
        message = f"{system} setting {name!r} must be {what}: {facts.help}"
        raise RegistryError(message) from (None if facts.secret else error)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("not text")
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("not an integer")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("not a number")
    return float(value)


def _boolean(value: Any) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("not a boolean")


def _url(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith(("https://", "http://")):
        raise ValueError("not an address")
    return value


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError("not a list")
    return list(value)


#: SettingFacts.type -> how it is read, and what to call it.
_TYPES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "text": (_text, "text"),
    "integer": (_integer, "a whole number"),
    "number": (_number, "a number"),
    "boolean": (_boolean, "true or false"),
    "url": (_url, "an address that starts with https://"),
    "list": (_list, "a list"),
}


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
    return f"there is no {what} {name!r}; {hint}"


def _because(problems: Sequence[str]) -> str:
    return f" (also broken: {'; '.join(problems)})" if problems else ""


# -- finding connectors ---------------------------------------------------------------------------


def _ours() -> Iterator[tuple[Path, bool]]:
    for path in connectors.__path__:
        for manifest in sorted(Path(path).glob("*/manifest.yaml")):
            yield manifest.parent, False


def _installed(problems: list[str]) -> Iterator[tuple[Path, bool]]:
    for entry in _entry_points(tuple(sys.path)):
        try:
            spec = importlib.util.find_spec(entry.value)
        except (ImportError, ValueError):
            spec = None
        if spec is None or not spec.submodule_search_locations:
            problems.append(f"entry point {entry.name}: there is no package {entry.value!r}")
            continue
        yield Path(next(iter(spec.submodule_search_locations))), False


@lru_cache(maxsize=8)
def _entry_points(_path: tuple[str, ...]) -> metadata.EntryPoints:
    # What is installed on a path stays so while a process runs; reading it takes 20 ms.
    return metadata.entry_points(group=GROUP)


def _plain(folders: Iterable[str | Path], problems: list[str]) -> Iterator[tuple[Path, bool]]:
    for given in folders:
        folder = Path(given).expanduser().resolve()
        if (folder / "manifest.yaml").is_file():
            yield folder, True
            continue
        inside = sorted(folder.glob("*/manifest.yaml"))
        if not inside:
            problems.append(f"{folder}: neither has a manifest.yaml nor folders with one")
        for manifest in inside:
            yield manifest.parent, True


# -- loading -------------------------------------------------------------------------------------


def _class_of(one: Found) -> Any:
    module_name, _, class_name = one.manifest.connector.partition(":")
    try:
        if one.plain:
            _check_package(one.folder, module_name)
            adopt(one.folder)
        module = importlib.import_module(module_name)
        return getattr(module, class_name)
    except ImportError as error:
        message = f"{one.folder}: {module_name} cannot be imported: {error}"
        raise RegistryError(message) from error
    except AttributeError as error:
        message = f"{one.folder}: {module_name} has no class {class_name}; see `connector` there"
        raise RegistryError(message) from error
    except SyntaxError as error:
        message = f"{error.filename}:{error.lineno}: not valid Python: {error.msg}"
        raise RegistryError(message) from error


def adopt(folder: Path) -> None:
    """Makes a plain folder importable as the package of its name, without sys.path. Idempotent.

    Raises: RegistryError when the name belongs to another package.
    """
    folder = folder.resolve()
    known = sys.modules.get(folder.name) or _importable(folder.name)
    if known is None:
        _import_package(folder, folder.name)
    elif str(folder) not in [str(Path(path).resolve()) for path in getattr(known, "__path__", ())]:
        message = f"{folder}: there already is a package {folder.name!r}; rename the folder"
        raise RegistryError(message)


def _check_package(folder: Path, module_name: str) -> None:
    if module_name.partition(".")[0] != folder.name:
        raise RegistryError(
            f"{folder}: `connector` in manifest.yaml must start with the folder's name: "
            f"{folder.name}.connector:..."
        )


def _importable(package: str) -> ModuleType | None:
    return importlib.import_module(package) if importlib.util.find_spec(package) else None


def _import_package(folder: Path, package: str) -> None:
    file = folder / "__init__.py"
    if not file.is_file():
        raise RegistryError(f"{folder}: has no __init__.py; add an empty one")
    spec = importlib.util.spec_from_file_location(
        package, file, submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[package]
        raise
