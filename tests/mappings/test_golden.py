"""The meaning of a record of each stream: a payload of the system, and the entity read from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mappings.kit.loader import load_all, shipped
from mappings.kit.mapping import Mapping

GOLDEN = Path(__file__).parent / "golden"
MAPPINGS = [mapping for found in load_all(shipped()).values() for mapping in found]
every = pytest.mark.parametrize("mapping", MAPPINGS, ids=lambda m: f"{m.system}:{m.stream}")


def golden(mapping: Mapping) -> dict[str, Any]:
    path = GOLDEN / mapping.system / f"{mapping.stream}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@every
def test_a_payload_means_this_entity(mapping: Mapping) -> None:
    case = golden(mapping)
    assert mapping.read(case["payload"]) == case["entity"]


@every
def test_the_remote_spelling_is_left_alone(mapping: Mapping) -> None:
    case = golden(mapping)
    assert mapping.write(case["entity"], case["payload"]) == {}


def test_no_golden_file_is_left_over() -> None:
    expected = {f"{m.system}/{m.stream}" for m in MAPPINGS}
    assert {f"{p.parent.name}/{p.stem}" for p in GOLDEN.glob("*/*.json")} == expected
