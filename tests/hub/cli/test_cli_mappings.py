"""`tulay mappings schema` accepts every mapping file that exists, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from hub.cli.app import build
from mappings.kit.files import OURS
from mappings.kit.source import read_source

FILES = sorted(OURS.glob("*/*.yaml"))


@pytest.fixture(scope="module")
def schema() -> Any:
    result = CliRunner().invoke(build(["mappings"]), ["mappings", "schema"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_shipped_mappings_fit_the_schema(path: Any, schema: Any) -> None:
    jsonschema_rs.validate(schema, read_source(path).content)


@pytest.mark.parametrize(
    "wrong",
    [
        {"entity": "company"},
        {"entity": "company", "stream": "a", "adopt": False},
        {"entity": "company", "stream": "a", "fields": {"name": {"feld": "b"}}},
    ],
    ids=["no stream", "old word", "misspelt key"],
)
def test_the_schema_refuses_mistakes(wrong: Any, schema: Any) -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(schema, wrong)
