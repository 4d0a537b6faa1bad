"""Every shipped manifest is valid, follows the quality scale, and leads to code and docs."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from connectors.kit.contract import Connector
from connectors.kit.manifest import Manifest, read_manifest
from connectors.kit.registry import catalogue

CONNECTORS = Path(__file__).parents[2] / "connectors"
SYSTEMS = sorted(path.parent.name for path in CONNECTORS.glob("*/manifest.yaml"))
RULE = re.compile(r"^\| (?:bronze|silver|gold) \| `(\w+)`", re.M)


@pytest.fixture(params=SYSTEMS)
def manifest(request: pytest.FixtureRequest) -> Manifest:
    return read_manifest(CONNECTORS / request.param / "manifest.yaml")


def loaded(reference: str) -> object:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def test_every_connector_folder_is_found() -> None:
    found = catalogue()
    assert found.problems == ()
    assert set(SYSTEMS) <= set(found.found)
    folders = {path.parent.name for path in CONNECTORS.glob("*/connector.py")}
    assert folders == set(SYSTEMS), "a folder with a connector has no manifest.yaml, or the reverse"


def test_every_quality_claim_is_a_known_rule(manifest: Manifest) -> None:
    rules = RULE.findall((CONNECTORS / "README.md").read_text(encoding="utf-8"))
    assert len(rules) == len(set(rules)) == 16
    assert set(manifest.quality) <= set(rules), "see the scale in connectors/README.md"
    for rule, claim in manifest.quality.items():
        assert re.fullmatch(r"done|todo|exempt: \S.*", claim), f"{manifest.system}: {rule}: {claim}"


def test_a_bronze_rule_is_claimed_or_explained(manifest: Manifest) -> None:
    text = (CONNECTORS / "README.md").read_text(encoding="utf-8")
    bronze = re.findall(r"^\| bronze \| `(\w+)`", text, re.M)
    assert bronze
    assert [rule for rule in bronze if manifest.quality.get(rule, "todo") == "todo"] == []


def test_the_connector_implements_the_contract(manifest: Manifest) -> None:
    found = loaded(manifest.connector)
    assert isinstance(found, type)
    missing = [name for name in vars(Connector) if name[0] != "_" and not hasattr(found, name)]
    assert missing == []
    assert manifest.connector.startswith(f"connectors.{manifest.system}.")


def test_the_twin_can_be_started(manifest: Manifest) -> None:
    if manifest.twin is None:
        pytest.skip(f"{manifest.system} has no twin")
    assert callable(loaded(manifest.twin))


def test_every_setting_is_documented(manifest: Manifest) -> None:
    readme = (CONNECTORS / manifest.system / "README.md").read_text(encoding="utf-8")
    missing = [name for name in manifest.settings if f"`{name}`" not in readme]
    assert missing == [], f"connectors/{manifest.system}/README.md does not say what these are"


def test_secrets_are_declared_as_such(manifest: Manifest) -> None:
    suspect = re.compile(r"password|secret|token\b|(^|_)key$")
    # A switch or an address about secrets is not a secret.
    texts = {name for name, facts in manifest.settings.items() if facts.type == "text"}
    plain = [n for n in texts if suspect.search(n) and not manifest.settings[n].secret]
    assert plain == []


def test_every_claimed_ability_fits_the_others(manifest: Manifest) -> None:
    for name, facts in manifest.streams.items():
        assert facts.title, name
        writes = facts.create or facts.update or facts.delete or facts.actions
        assert writes or facts.lock == "none", f"{name}: nothing is written, and yet locked"
        assert facts.create or facts.once is None, f"{name}: nothing is created, and yet `once`"
