"""The keys of a mapping file, as pydantic checks them and as JSON Schema for editors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mappings.kit.renames import Rename

Scalars = str | int | bool | None


#: Old keys of mapping files; they work for one release.
RENAMES = (
    Rename("adopt", "import"),
    Rename("preset", "defaults"),
    Rename("acts", "actions"),
)


class Strict(BaseModel):
    """Refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Custom(Strict):
    """A field that must be created in the system."""

    type: Literal["text", "number", "integer", "boolean", "date", "datetime", "enum"] | None = (
        Field(default=None, description="Its type there; by default that of the canonical kind.")
    )
    label: str | None = Field(default=None, description="Its label; by default the name.")


class FieldSpec(Strict):
    """How one canonical path is translated. A plain text is short for `{field: text}`."""

    field: str = Field(description="Path in the system: a.b, a[0].b, a[type=email,name=].b")
    lens: str | None = Field(
        default=None, description="Name of the lens; by default that of the canonical kind."
    )
    mode: Literal["both", "read", "write"] = Field(
        default="both", description="write: the hub owns it, and edits in the system do not count."
    )
    values: dict[str, Scalars] | None = Field(
        default=None, description="System value -> canonical value; the first of equals is written."
    )
    otherwise: Scalars = Field(default=None, description="Canonical value for all unlisted ones.")
    unknown: Literal["keep", "blank", "refuse"] | None = Field(
        default=None, description="The policy for values without translation."
    )
    stream: str | None = Field(
        default=None, description="Of a reference: the stream of this system it points to."
    )
    region: str | None = Field(
        default=None,
        description="Path in the system of the country, for national phones and tax ids.",
    )
    default_region: str | None = Field(
        default=None, description="Country code when `region` is missing or blank."
    )
    zone: str | None = Field(default=None, description="Time zone in which times become dates.")
    custom: Custom | bool = Field(default=False, description="Create the field in the system.")
    kind: str | None = Field(default=None, description="Only for paths under `custom.`: the kind.")
    options: list[str] = Field(default=[], description="Only for `custom.` enums: the options.")
    entity: str | None = Field(default=None, description="Only for `custom.` references.")
    help: str = Field(default="", description="Only for paths under `custom.`: for people.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"field": value} if isinstance(value, str) else value


class ListSpec(Strict):
    """How the items of a list are translated."""

    field: str | None = Field(default=None, description="The list in the system.")
    key: list[str] = Field(
        default=[], description="Paths in the item; the first filled one identifies the item."
    )
    #: None removes a field of the extended file.
    fields: dict[str, FieldSpec | None] = {}

    @field_validator("key", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class MappingFile(Strict):
    """One stream of a system, translated from and to one entity."""

    entity: str = Field(description="The canonical entity.")
    stream: str = Field(description="The stream's name in the connector.")
    extends: bool = Field(
        default=False, description="Add to the mapping of the same stream instead of replacing it."
    )
    imports: bool | None = Field(
        default=None,
        alias="import",
        description="false: records that the hub did not write are not imported. Default true.",
    )
    constants: dict[str, Scalars] = Field(
        default={}, description="Canonical values of every record of this stream."
    )
    defaults: dict[str, Scalars] = Field(
        default={}, description="Path in the system -> value of new records."
    )
    requires: list[str] | None = Field(
        default=None, description="Canonical paths without which no record is created there."
    )
    actions: dict[str, str] = Field(default={}, description="State -> action that reaches it.")
    #: None removes a field of the extended file.
    fields: dict[str, FieldSpec | None] = {}
    lists: dict[str, ListSpec] = {}


def mapping_schema() -> dict[str, Any]:
    """Returns the JSON Schema of mapping files, for editors and for `tulay mappings schema`."""
    schema = MappingFile.model_json_schema()
    field = schema["$defs"]["FieldSpec"]
    schema["$defs"]["FieldSpec"] = {"anyOf": [{"type": "string"}, field]}
    key = schema["$defs"]["ListSpec"]["properties"]["key"]
    schema["$defs"]["ListSpec"]["properties"]["key"] = {"anyOf": [{"type": "string"}, key]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
