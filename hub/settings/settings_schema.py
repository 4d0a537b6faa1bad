"""The JSON Schema of tulay.yaml, for editors, with the settings of every known system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from connectors.kit.manifest import Manifest, SettingFacts
from connectors.kit.registry import manifests
from hub.settings.shape import ConnectionText, TulayFile

_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": ["string", "number"]},
    "integer": {"type": ["integer", "string"]},
    "number": {"type": ["number", "string"]},
    "boolean": {"type": ["boolean", "string"]},
    "url": {"type": "string"},
    "list": {"type": ["array", "string"]},
}
#: A secret is exactly one reference.
_REFERENCE = {"type": "string", "pattern": r"^\s*\$\{[^{}]+\}\s*$"}


def json_schema(folders: Iterable[str | Path] = ()) -> dict[str, Any]:
    """Returns the JSON Schema of tulay.yaml; `folders` hold additional connectors."""
    schema = TulayFile.model_json_schema()
    common = schema["$defs"]["ConnectionText"]["properties"]
    known: Mapping[str, Manifest] = manifests(folders)
    schema["$defs"]["ConnectionText"] = {
        "type": "object",
        "required": ["system"],
        "properties": {**common, "system": {"enum": sorted(known)}},
        "allOf": [_system(known[system], common) for system in sorted(known)],
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _system(manifest: Manifest, common: Mapping[str, Any]) -> dict[str, Any]:
    own = {
        name: _setting(facts)
        for name, facts in manifest.settings.items()
        if name not in ConnectionText.model_fields
    }
    required = [name for name in own if manifest.settings[name].required]
    return {
        "if": {"properties": {"system": {"const": manifest.system}}},
        "then": {
            "properties": {**dict.fromkeys(common, True), **own},
            "required": required,
            "additionalProperties": False,
        },
    }


def _setting(facts: SettingFacts) -> dict[str, Any]:
    shape = _REFERENCE if facts.secret else _TYPES[facts.type]
    default = {} if facts.default is None else {"default": facts.default}
    return {**shape, "description": facts.help, **default}
