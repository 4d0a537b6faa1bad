"""`tulay docs entities`: fields, the streams that map them, and the page with the same content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hub.cli.app import build
from mappings.canonical.entities import ENTITIES
from mappings.kit.loader import load_all, shipped
from tests.hub.cli.conftest import ROOT, Office

FIELDS = [
    (entity.name, path)
    for entity in ENTITIES.values()
    for path in (
        *entity.fields,
        *(f"{name}[].{leaf}" for name, items in entity.lists.items() for leaf in items),
    )
]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without tulay.yaml."""
    monkeypatch.delenv("TULAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(build(["docs"]), ["docs", "entities", *words])


def document(*words: str) -> dict[str, dict[str, Any]]:
    """Returns entity -> field -> its description."""
    found = json.loads(run(*words, "--json").stdout)["entities"]
    return {one["name"]: {field["path"]: field for field in one["fields"]} for one in found}


@pytest.mark.usefixtures("elsewhere")
def test_the_page_is_up_to_date() -> None:
    """If it fails: tulay docs entities --markdown > docs/entities.md"""
    result = run("--markdown")
    assert result.exit_code == 0, result.output
    assert (ROOT / "docs" / "entities.md").read_text(encoding="utf-8") == result.stdout


@pytest.mark.usefixtures("elsewhere")
def test_every_field_is_listed_with_its_kind() -> None:
    found = document()
    assert [(name, path) for name, fields in found.items() for path in fields] == FIELDS
    for name, path in FIELDS:
        declared = ENTITIES[name].field(path)
        assert declared is not None
        assert found[name][path]["kind"] == declared.kind
        assert found[name][path]["entity"] == declared.entity


@pytest.mark.usefixtures("elsewhere")
def test_every_shipped_mapping_is_listed() -> None:
    found = document()
    documented = {
        (by["system"], by["stream"], name, path, by["mode"])
        for name, fields in found.items()
        for path, field in fields.items()
        for by in field["mapped_by"]
    }
    assert {one[:2] for one in documented} == {
        (mapping.system, mapping.stream)
        for maps in load_all(shipped()).values()
        for mapping in maps
    }
    assert ("hubspot", "companies", "company", "name", "both") in documented
    assert ("hubspot", "companies", "company", "figures.invoiced", "write") in documented
    assert ("hubspot", "tasks", "activity", "kind", "constant") in documented
    assert ("tryton", "sale.sale", "sales_order", "lines[].quantity", "both") in documented
    assert {one[4] for one in documented} == {"both", "read", "write", "constant"}


@pytest.mark.usefixtures("elsewhere")
def test_one_entity_can_be_asked_for() -> None:
    lines = run("contact").stdout.splitlines()
    assert lines[0].split() == ["ENTITY", "FIELD", "KIND", "MAPPED", "BY"]
    assert {line.split()[0] for line in lines[1:]} == {"contact"}
    company = next(line for line in lines if line.split()[1] == "company")
    assert "reference to company" in company
    wrong = run("compny")
    assert wrong.exit_code == 2
    assert "did you mean company?" in wrong.stderr


def test_a_users_mappings_replace_ours(office: Office) -> None:
    """With tulay.yaml: its systems, and the fields that its own mapping files declare."""
    file = office.folder / "maps" / "memory" / "company.yaml"
    score = "  custom.score: {field: score, kind: integer, help: 0 to 100}\n"
    file.write_text(file.read_text(encoding="utf-8") + score, encoding="utf-8")
    found = {one["name"]: one for one in office.json("docs", "entities")["entities"]}
    assert list(found) == list(ENTITIES)
    fields = {field["path"]: field for field in found["company"]["fields"]}
    assert fields["name"]["mapped_by"] == [
        {"system": "memory", "stream": "companies", "mode": "both"}
    ]
    assert fields["custom.score"]["kind"] == "integer"
    assert fields["owner"]["mapped_by"] == []
    assert not any(field["mapped_by"] for field in found["contact"]["fields"])
    page = office.run("docs", "entities", "--markdown").stdout
    assert "| `custom.score` | integer | memory companies | 0 to 100 |" in page
    assert "| `owner` | text | - |" in page
