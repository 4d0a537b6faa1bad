"""The README names every lens and every key, and its examples load."""

from __future__ import annotations

import re
from pathlib import Path

from mappings.kit.compiling import system_lenses
from mappings.kit.file_schema import FieldSpec, MappingFile
from mappings.kit.files import OURS
from mappings.kit.lens import LENSES
from mappings.kit.loader import load, shipped

README = (OURS / "README.md").read_text(encoding="utf-8")


def test_every_lens_is_in_the_table() -> None:
    own = {name for system in shipped() for name in system_lenses(system)}
    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {*LENSES, *own} <= named


def test_every_key_is_explained() -> None:
    fields = {**MappingFile.model_fields, **FieldSpec.model_fields}
    for key in (field.alias or name for name, field in fields.items()):
        assert re.search(rf"`{key}[`:]", README), key


def test_the_examples_load(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert len(examples) == 2
    for number, text in enumerate(examples):
        folder = tmp_path / str(number) / "hubspot"
        folder.mkdir(parents=True)
        (folder / "company.yaml").write_text(text, encoding="utf-8")
        company = load("hubspot", extra=[folder.parent])[0]
        assert company.read({"properties": {"name": "ACME"}})["name"] == "ACME"
