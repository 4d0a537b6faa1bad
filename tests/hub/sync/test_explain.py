"""Explain: origin, policy and losers of every value, and what is out of sync where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.memory import MemorySystem
from hub.errors import UnknownError
from hub.settings import load_settings
from hub.sync.context import Hub
from hub.sync.operate.explain import Explanation, Value, explain
from hub.sync.operate.resolve import resolve_with_value
from hub.sync.run import sync
from hub.wiring import open_hub

COMPANY = """\
entity: company
stream: companies
requires: [name]
fields: {name: name, domain: domain, phone: phone, owner: owner}
"""
CONTACT = """\
entity: contact
stream: contacts
requires: [last_name]
fields: {last_name: name, email: email, company: {field: company, stream: companies}}
"""
CONFIG = """\
mappings: [maps]
connections:
  crm: {{system: memory, path: {folder}/crm.db}}
  erp: {{system: memory, path: {folder}/erp.db}}
policies:
  company: {{fields: {{owner: {{owner: crm}}, phone: {{on_conflict: latest}}}}}}
"""


@dataclass
class Firm:
    hub: Hub
    crm: MemorySystem
    erp: MemorySystem


@pytest.fixture
def firm(tmp_path: Path) -> Iterator[Firm]:
    (tmp_path / "maps" / "memory").mkdir(parents=True)
    (tmp_path / "maps" / "memory" / "company.yaml").write_text(COMPANY, encoding="utf-8")
    (tmp_path / "maps" / "memory" / "contact.yaml").write_text(CONTACT, encoding="utf-8")
    (tmp_path / "tulay.yaml").write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    crm, erp = (
        MemorySystem.named("memory", path=str(tmp_path / f"{name}.db")) for name in ("crm", "erp")
    )
    crm.create("companies", name="ACME", domain="acme.example", owner="ann")
    hub = open_hub(load_settings(tmp_path / "tulay.yaml", environ={}))
    sync(hub)
    yield Firm(hub, crm, erp)
    hub.close()


def value(found: Explanation, path: str) -> Value:
    return next(v for v in found.values if v.path == path)


def test_a_value_comes_from_where_it_was_typed(firm: Firm) -> None:
    firm.erp.edit("companies", "1", phone="+4930123456")
    sync(firm.hub)
    found = explain(firm.hub, "company", "acme.example")
    assert (value(found, "name").origin, value(found, "phone").origin) == ("crm", "erp")
    assert value(found, "phone").at >= value(found, "name").at
    assert value(found, "owner").policy == "owner: crm"
    assert value(found, "phone").policy == "owner: any; on_conflict: latest; on_first_match: crm"
    assert [v.path for v in found.values] == ["name", "domain", "phone", "owner"]


def test_in_sync_means_no_gaps(firm: Firm) -> None:
    found = explain(firm.hub, "company", "ACME")
    assert [(p.connection, p.key, p.gaps) for p in found.places] == [
        ("crm", "1", ()),
        ("erp", "1", ()),
    ]
    assert found.missing == {}


def test_a_value_set_without_a_right_has_lost(firm: Firm) -> None:
    firm.erp.edit("companies", "1", owner="bob")
    sync(firm.hub)
    (lost,) = value(explain(firm.hub, "company", "ACME"), "owner").lost
    assert (lost.value, lost.connection, lost.why) == ("bob", "erp", "owner: crm")
    assert firm.erp.get("companies", "1")["owner"] == "ann"


def test_a_later_change_replaces_the_earlier(firm: Firm) -> None:
    firm.crm.edit("companies", "1", phone="+4930111111")
    firm.erp.edit("companies", "1", phone="+4930222222")
    sync(firm.hub)
    phone = value(explain(firm.hub, "company", "ACME"), "phone")
    (lost,) = phone.lost
    assert (phone.value, phone.origin) == ("+4930222222", "erp")
    assert (lost.value, lost.connection, lost.why) == ("+4930111111", "crm", "on_conflict: latest")


def test_a_systems_own_spelling_is_in_sync(firm: Firm) -> None:
    firm.erp.declare("companies", ways={"name": "upper"})
    firm.crm.edit("companies", "1", name="Acme Group")
    sync(firm.hub)
    found = explain(firm.hub, "company", "Acme Group", "name")
    (gap,) = next(p for p in found.places if p.connection == "erp").gaps
    assert (gap.golden, gap.agreed) == ("Acme Group", "Acme Group")
    assert (gap.seen, gap.shown) == ("ACME GROUP", "ACME GROUP")
    assert not gap.wanted


def test_a_conflict_is_named_at_its_field(firm: Firm) -> None:
    firm.crm.edit("companies", "1", name="Acme SE")
    firm.erp.edit("companies", "1", name="Acme AG")
    sync(firm.hub)
    found = explain(firm.hub, "company", "acme.example", "name")
    (gap,) = next(p for p in found.places if p.connection == "erp").gaps
    assert (gap.conflict, gap.golden, gap.seen, gap.agreed) == (1, "Acme SE", "Acme AG", "ACME")
    resolve_with_value(firm.hub, 1, "Acme")
    found = explain(firm.hub, "company", "acme.example", "name")
    assert value(found, "name").origin == "person"
    assert all(gap.wanted and gap.conflict is None for p in found.places for gap in p.gaps)


def test_a_reference_is_named_for_people(firm: Firm) -> None:
    firm.crm.create("contacts", name="Ann", email="ann@acme.example", company="1")
    sync(firm.hub)
    found = explain(firm.hub, "contact", "ann@acme.example")
    company = explain(firm.hub, "company", "ACME")
    assert value(found, "company").value == company.id
    assert value(found, "company").title == "ACME"


def test_a_record_that_was_refused_says_why(firm: Firm) -> None:
    firm.erp.declare("companies", required=("phone",))
    firm.crm.create("companies", name="Globex", domain="globex.example")
    sync(firm.hub)
    found = explain(firm.hub, "company", "Globex")
    assert [p.connection for p in found.places] == ["crm"]
    assert "phone" in found.missing["erp"]


def test_a_record_is_found_by_id_key_or_text(firm: Firm) -> None:
    found = explain(firm.hub, "company", "1")
    assert explain(firm.hub, "company", found.id).id == found.id
    assert explain(firm.hub, "company", "acme.exa").id == found.id


def test_an_unknown_name_suggests_the_nearest(firm: Firm) -> None:
    with pytest.raises(UnknownError, match="did you mean company"):
        explain(firm.hub, "compny", "1")
    with pytest.raises(UnknownError, match="there is no company 'Umbrella'"):
        explain(firm.hub, "company", "Umbrella")
    with pytest.raises(UnknownError, match="did you mean phone"):
        explain(firm.hub, "company", "1", "fone")
