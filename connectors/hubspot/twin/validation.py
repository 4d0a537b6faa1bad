"""Checks what is to be written, and adds what HubSpot fills in by itself. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.hubspot.twin.account_settings import Owner, Settings
from connectors.hubspot.twin.data_faults import DataFaults, told_apart
from connectors.hubspot.twin.error_bodies import Issue, conflict, invalid_values, required
from connectors.hubspot.twin.pipelines import Pipeline, fresh_pipelines
from connectors.hubspot.twin.properties_schema import Kind, Property
from connectors.hubspot.twin.property_values import accept, as_text, iso
from connectors.hubspot.twin.storage import ObjectStore
from connectors.hubspot.twin.stored_record import API, Record, Source
from connectors.kit.twin import Clock


class Validation:
    """The rules for values of one account, and the lists they may be chosen from."""

    def __init__(
        self, store: ObjectStore, settings: Settings, data_faults: DataFaults, *, clock: Clock
    ) -> None:
        self._store = store
        self._settings = settings
        self._data_faults = data_faults
        self._clock = clock
        self.owners: dict[int, Owner] = {}
        self.pipelines: dict[str, dict[str, Pipeline]] = fresh_pipelines(clock.ms())

    def creation(
        self, kind: Kind, given: Mapping[str, Any], *, source: Source = API
    ) -> dict[str, str]:
        """Returns the values of a new record in their stored form. Raises: Refusal."""
        values = self.check(kind, self._prepared(kind, given), source=source)
        kept = {name: text for name, text in values.items() if text is not None}
        self._complete(kind, kept)
        self.guard_unique(kind, kept, None)
        return kept

    def change(
        self, record: Record, given: Mapping[str, Any], *, source: Source = API
    ) -> dict[str, str | None]:
        """Returns the changed values of a record in their stored form. Raises: Refusal."""
        asked = dict(given)
        if not record.value("closedate"):
            self._close(record.kind, asked)
        values = self.check(record.kind, asked, record, source=source)
        self.guard_unique(record.kind, values, record)
        return values

    def rehearse(self, kind: Kind, given: Mapping[str, Any], record: Record | None = None) -> None:
        """Goes through the checks of a create or update. Raises: Refusal."""
        if record is None:
            self.creation(kind, given)
        else:
            self.guard_unique(kind, self.check(kind, given, record), record)

    def check(
        self,
        kind: Kind,
        given: Mapping[str, Any],
        record: Record | None = None,
        *,
        source: Source = API,
    ) -> dict[str, str | None]:
        """Returns the values in their stored form. Raises: Refusal (400) naming every bad one."""
        issues: list[Issue] = []
        values: dict[str, str | None] = {}
        for name, raw in given.items():
            prop, text = kind.live(name), as_text(raw)
            issue = self._unwritable(prop, name)
            if issue is None and prop is not None and text is not None:
                text, issue = accept(prop, text, self._allowed(prop, (kind, given, record)))
            if text is not None and prop is not None and issue is None:
                text = self._data_faults.written(prop, text)
                if source.type == API.type:
                    issue = self._data_faults.rule(prop, text, told_apart(given, record))
            if issue is not None:
                issues.append(issue)
            values[name] = text
        if issues:
            raise invalid_values(issues)
        return values

    def _unwritable(self, prop: Property | None, name: str) -> Issue | None:
        if prop is None:
            return Issue(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
        if prop.read_only:
            message = f'"{name}" is a read only property; its value cannot be set.'
            return Issue(name, "READ_ONLY_VALUE", message)
        return None

    def _allowed(
        self, prop: Property, place: tuple[Kind, Mapping[str, Any], Record | None]
    ) -> list[str]:
        kind, given, record = place
        if prop.external == "owners":
            return [str(owner.id) for owner in self.owners.values() if not owner.archived]
        if prop.external == "pipelines":
            return list(self.pipelines.get(kind.name, {}))
        if prop.external == "stages":
            name = kind.stage_names()[0]
            chosen = given.get(name) or (record.value(name) if record else None)
            pipelines = self.pipelines.get(kind.name, {})
            pipeline = pipelines.get(str(chosen)) or next(iter(pipelines.values()), None)
            return list(pipeline.stages) if pipeline else []
        return prop.allowed()

    def _prepared(self, kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
        """Adds what HubSpot fills in by itself: pipeline, a product's values, a draft's state."""
        values = dict(given)
        pipeline, stage = kind.stage_names()
        if values.get(stage) and not values.get(pipeline):
            values[pipeline] = next(iter(self.pipelines.get(kind.name, {})), None)
        if kind.name == "line_items" and values.get("hs_product_id"):
            product = self._store.find(
                self._store.catalogue["products"], str(values["hs_product_id"])
            )
            copied = ("name", "description", "price", "hs_sku", "hs_cost_of_goods_sold")
            for name in copied if product else ():
                values.setdefault(name, product.values.get(name) if product else None)
        if kind.name == "invoices":
            values.setdefault("hs_invoice_status", "draft")
        self._close(kind, values)
        return values

    def _close(self, kind: Kind, values: dict[str, Any]) -> None:
        closed = str(values.get("dealstage", "")).startswith("closed")
        if kind.name == "deals" and closed and not values.get("closedate"):
            values["closedate"] = iso(self._clock.ms())

    def _complete(self, kind: Kind, values: Mapping[str, str]) -> None:
        lacking = [name for name in kind.facts.required.split() if name not in values]
        one_of = kind.facts.one_of.split()
        if one_of and not any(name in values for name in one_of):
            lacking += one_of
        if lacking:
            raise required(kind.facts.singular, lacking)

    def guard_unique(
        self, kind: Kind, values: Mapping[str, str | None], record: Record | None
    ) -> None:
        """Raises Refusal when another record has one of these unique values."""
        for name, text in values.items():
            prop = kind.properties[name]
            if not prop.unique or text is None:
                continue
            owner = self._store.owner_of(kind, name, text)
            if owner is None or (record is not None and owner == record.id):
                continue
            if prop.native or self._settings.unique_conflict_409:
                raise conflict(kind.facts.singular, owner)
            place = (
                f"PropertyValueCoordinates{{portalId={self._settings.portal_id}, "
                f"objectTypeId={kind.facts.type_id}, propertyName={name}, value={text}}}"
            )
            target = record.id if record else "a new record"
            message = f"Cannot set {place} on {target}. {owner} already has that value."
            raise invalid_values([Issue(name, "CONFLICTING_UNIQUE_VALUE", message)])
