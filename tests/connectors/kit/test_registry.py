"""Connectors are found wherever they are, opened with checked settings, and broken ones named."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kit.budget import Budget
from connectors.kit.manifest import Manifest
from connectors.kit.registry import (
    RegistryError,
    adopt,
    catalogue,
    check_settings,
    manifests,
    open_connector,
)
from connectors.kit.scaffold import new
from connectors.memory import MemoryConnector

FACTS = Manifest.model_validate(
    {
        "system": "shop",
        "title": "Shop",
        "role": "crm",
        "connector": "shop.connector:Shop",
        "streams": {},
        "settings": {
            "base_url": {"help": "Where it is", "type": "url", "required": True},
            "token": {"help": "From the profile", "required": True, "secret": True},
            "page": {"help": "Rows", "type": "integer", "default": 100},
            "pace": {"help": "Seconds", "type": "number"},
            "live": {"help": "Really", "type": "boolean", "default": False},
            "pin": {"help": "Digits", "type": "integer", "secret": True},
            "streams": {"help": "Names", "type": "list"},
        },
    }
)
GOOD = {"base_url": "https://shop.example", "token": "secret"}


@pytest.fixture(autouse=True)
def _forget_packages() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {"shelf", "broken", "wrongname"}:
            del sys.modules[name]


def test_our_connectors_are_found_by_manifest() -> None:
    assert manifests()["memory"].connector == "connectors.memory.connector:MemoryConnector"
    assert catalogue().problems == ()


def test_a_connector_is_opened_with_defaults() -> None:
    connector = open_connector("memory", {"system": "registry", "page": "7"}, Budget())
    assert isinstance(connector, MemoryConnector)
    assert connector.system.name == "registry"


def test_a_plain_folder_needs_no_installation(tmp_path: Path) -> None:
    new("shelf", tmp_path)
    settings = {"base_url": "http://127.0.0.1:9", "token": "x"}
    connector = open_connector("shelf", settings, Budget(), folders=[tmp_path])
    assert type(connector).__module__ == "shelf.connector"
    assert str(tmp_path) not in sys.path
    connector.close()


def test_the_folder_itself_may_be_named(tmp_path: Path) -> None:
    new("shelf", tmp_path)
    assert "shelf" in manifests([str(tmp_path / "shelf")])


def test_a_package_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new("shelf", tmp_path)
    info = tmp_path / "shelf-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tulay.connectors]\nshelf = shelf\nlost = no_such_package_here\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = catalogue()
    assert found.found["shelf"].folder == tmp_path / "shelf"
    assert any("lost" in line and "no_such_package_here" in line for line in found.problems)
    settings = {"base_url": "http://127.0.0.1:9", "token": "x"}
    open_connector("shelf", settings, Budget()).close()


def test_a_broken_folder_stops_no_other(tmp_path: Path) -> None:
    new("shelf", tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.yaml").write_text("system: [")
    (tmp_path / "empty").mkdir()
    found = catalogue([tmp_path, tmp_path / "empty", tmp_path / "nowhere"])
    assert {"memory", "shelf"} <= set(found.found)
    assert len(found.problems) == 3
    assert str(tmp_path / "broken" / "manifest.yaml") in "".join(found.problems)
    assert str(tmp_path / "empty") in "".join(found.problems)


def test_two_folders_for_one_system_are_a_problem(tmp_path: Path) -> None:
    new("shelf", tmp_path / "a")
    new("shelf", tmp_path / "b")
    found = catalogue([tmp_path / "a", tmp_path / "b", tmp_path / "a"])
    assert found.found["shelf"].folder == tmp_path / "a" / "shelf"
    assert len(found.problems) == 1
    assert str(tmp_path / "b") in found.problems[0]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("connector.py", "def (", "connector.py:1"),
        ("connector.py", "import no_such_module_at_all", "no_such_module_at_all"),
        ("connector.py", "x = 1", "no class ShelfConnector"),
    ],
)
def test_code_that_does_not_load_is_named(
    file: str, text: str, message: str, tmp_path: Path
) -> None:
    new("shelf", tmp_path)
    (tmp_path / "shelf" / file).write_text(text)
    with pytest.raises(RegistryError, match="shelf") as caught:
        open_connector(
            "shelf", {"base_url": "https://x", "token": "x"}, Budget(), folders=[tmp_path]
        )
    assert message in str(caught.value)


def test_a_plain_folder_is_named_as_its_package(tmp_path: Path) -> None:
    new("shelf", tmp_path)
    (tmp_path / "shelf").rename(tmp_path / "wrongname")
    with pytest.raises(RegistryError, match=r"wrongname\.connector"):
        open_connector(
            "shelf", {"base_url": "https://x", "token": "x"}, Budget(), folders=[tmp_path]
        )


def test_a_folder_replaces_no_other_package(tmp_path: Path) -> None:
    (tmp_path / "yaml").mkdir()
    with pytest.raises(RegistryError, match="rename the folder"):
        adopt(tmp_path / "yaml")


def test_an_unknown_system_gets_the_nearest_name() -> None:
    with pytest.raises(RegistryError, match="did you mean 'memory'"):
        open_connector("memmory", {}, Budget())


def test_settings_are_read_in_their_types() -> None:
    given = {**GOOD, "page": "50", "pace": "1.5", "live": "true", "streams": "a, b"}
    assert check_settings(FACTS, given) == {
        **GOOD,
        "page": 50,
        "pace": 1.5,
        "live": True,
        "pin": None,
        "streams": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokken": "x"}, "did you mean 'token'"),
        ({"token": ""}, "needs the setting 'token': From the profile"),
        ({"token": None}, "needs the setting 'token'"),
        ({"token": True}, "'token' must be text"),
        ({"page": "many"}, "'page' must be a whole number"),
        ({"page": 1.5}, "'page' must be a whole number"),
        ({"page": True}, "'page' must be a whole number"),
        ({"pace": "fast"}, "'pace' must be a number"),
        ({"live": "perhaps"}, "'live' must be true or false"),
        ({"base_url": "shop.example"}, "'base_url' must be an address"),
        ({"streams": 3}, "'streams' must be a list"),
    ],
)
def test_wrong_settings_say_what_to_do(change: dict[str, object], message: str) -> None:
    with pytest.raises(RegistryError) as caught:
        check_settings(FACTS, {**GOOD, **change})
    assert message in str(caught.value)


def test_a_secret_is_not_shown_when_it_is_wrong() -> None:
    with pytest.raises(RegistryError) as caught:
        check_settings(FACTS, {**GOOD, "pin": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
