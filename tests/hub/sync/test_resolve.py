"""What a person decides about a conflict holds in all systems, and the history records it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.memory import MemorySystem
from hub.errors import DecisionError, UnknownError
from hub.settings import load_settings
from hub.store import history
from hub.store.conflicts import Conflict, list_conflicts
from hub.sync.context import Hub
from hub.sync.operate.decide import decide_review
from hub.sync.operate.resolve import resolve_conflict, resolve_with_value
from hub.sync.run import sync
from hub.wiring import open_hub

NAMES = ("crm", "erp", "shop")
MAPPING = """\
entity: company
stream: companies
requires: [name]
fields:
  name: name
  domain: domain
  email: email
  address.street: street
  address.city: city
  address.country: country
"""


@dataclass
class Firm:
    """A hub between three systems with one company, `key` 1 everywhere."""

    hub: Hub
    systems: dict[str, MemorySystem]

    def edit(self, **names: dict[str, str]) -> None:
        for name, fields in names.items():
            self.systems[name].edit("companies", "1", fields)
        sync(self.hub)

    def conflicts(self) -> list[Conflict]:
        with self.hub.store.read() as tx:
            return list_conflicts(tx)

    def shown(self, field: str) -> set[str | None]:
        sync(self.hub)
        return {s.get("companies", "1").get(field) for s in self.systems.values()}


@pytest.fixture
def firm(tmp_path: Path) -> Iterator[Firm]:
    (tmp_path / "maps" / "memory").mkdir(parents=True)
    (tmp_path / "maps" / "memory" / "company.yaml").write_text(MAPPING, encoding="utf-8")
    lines = [f"  {n}: {{system: memory, path: {tmp_path / n}.db}}" for n in NAMES]
    create = f"policies: {{company: {{create: [{', '.join(NAMES)}]}}}}"
    text = "\n".join(["mappings: [maps]", "connections:", *lines, create])
    (tmp_path / "tulay.yaml").write_text(text, encoding="utf-8")
    paths = {name: f"{tmp_path / name}.db" for name in NAMES}
    systems = {name: MemorySystem.named("memory", path=path) for name, path in paths.items()}
    systems["crm"].create(
        "companies", name="ACME", domain="acme.example", street="Main 1", city="Bonn", country="DE"
    )
    hub = open_hub(load_settings(tmp_path / "tulay.yaml", environ={}))
    sync(hub)
    yield Firm(hub, systems)
    hub.close()


def test_theirs_is_taken_everywhere(firm: Firm) -> None:
    firm.edit(crm={"name": "Acme SE"}, erp={"name": "Acme AG"})
    (row,) = firm.conflicts()
    assert (row.connection, row.ours, row.theirs) == ("erp", "Acme SE", "Acme AG")
    done = resolve_conflict(firm.hub, 1, "theirs")
    assert done.values == {"name": "Acme AG"}
    assert firm.shown("name") == {"Acme AG"}
    assert firm.conflicts() == []


def test_ours_is_written_to_the_remote_system(firm: Firm) -> None:
    firm.edit(crm={"name": "Acme SE"}, erp={"name": "Acme AG"})
    assert resolve_conflict(firm.hub, 1, "ours").values == {"name": "Acme SE"}
    assert firm.shown("name") == {"Acme SE"}


def test_a_decision_is_written_once(firm: Firm) -> None:
    """Nothing is written after the decision has arrived."""
    firm.edit(crm={"name": "Acme SE"}, erp={"name": "Acme AG"})
    resolve_conflict(firm.hub, 1, "theirs")
    sync(firm.hub)
    for system in firm.systems.values():
        system.forget_writes()
    assert sync(firm.hub).written == 0
    assert [s.writes for s in firm.systems.values()] == [[], [], []]


def test_history_names_the_person_and_the_loser(firm: Firm) -> None:
    firm.edit(crm={"name": "Acme SE"}, erp={"name": "Acme AG"})
    done = resolve_conflict(firm.hub, 1, "ours")
    with firm.hub.store.read() as tx:
        last = history.past(tx, done.golden_id, "name")[-1]
    assert (last.old, last.new, last.decision) == ("Acme AG", "Acme SE", "superseded")
    assert last.why == "a person decided conflict 1: crm"


def test_a_unit_is_decided_as_a_whole(firm: Firm) -> None:
    firm.edit(
        crm={"street": "High St 2", "city": "London", "country": "GB"},
        shop={"street": "Rue 3", "city": "Paris", "country": "FR"},
    )
    paths = {row.path for row in firm.conflicts()}
    assert paths == {"address.street", "address.city", "address.country"}
    done = resolve_conflict(firm.hub, 2, "theirs")
    assert set(done.values) == paths
    assert firm.conflicts() == []
    assert firm.shown("city") == {"Paris"}
    assert firm.shown("country") == {"FR"}


def test_a_decision_ends_conflicts_that_agree(firm: Firm) -> None:
    firm.edit(crm={"name": "Acme SE"}, erp={"name": "Acme AG"}, shop={"name": "Acme AG"})
    assert len(firm.conflicts()) == 2
    resolve_conflict(firm.hub, 1, "theirs")
    assert firm.conflicts() == []
    assert firm.shown("name") == {"Acme AG"}


def test_a_decision_updates_other_conflicts(firm: Firm) -> None:
    firm.edit(crm={"name": "Acme SE"}, erp={"name": "Acme AG"}, shop={"name": "Acme Shop"})
    resolve_conflict(firm.hub, 1, "theirs")
    (row,) = firm.conflicts()
    assert (row.connection, row.ours, row.theirs) == ("shop", "Acme AG", "Acme Shop")
    resolve_conflict(firm.hub, 2, "ours")
    assert firm.shown("name") == {"Acme AG"}


def test_a_third_value_is_made_canonical_first(firm: Firm) -> None:
    firm.edit(crm={"email": "a@acme.example"}, erp={"email": "b@acme.example"})
    assert resolve_with_value(firm.hub, 1, " Info@ACME.example ").values == {
        "email": "info@acme.example"
    }
    assert firm.shown("email") == {"info@acme.example"}


def test_the_third_value_may_be_theirs(firm: Firm) -> None:
    firm.edit(crm={"name": "Acme SE"}, erp={"name": "Acme AG"})
    resolve_with_value(firm.hub, 1, "Acme AG")
    assert firm.shown("name") == {"Acme AG"}
    assert firm.conflicts() == []


def test_an_empty_value_empties_it_everywhere(firm: Firm) -> None:
    firm.edit(crm={"email": "a@acme.example"}, erp={"email": "b@acme.example"})
    resolve_with_value(firm.hub, 1, " ")
    assert firm.shown("email") == {None}
    assert firm.conflicts() == []


def test_a_value_that_is_none_is_refused(firm: Firm) -> None:
    firm.edit(crm={"country": "GB"}, erp={"country": "FR"})
    (row,) = [r for r in firm.conflicts() if r.path == "address.country"]
    with pytest.raises(DecisionError, match=r"address\.country must be a country"):
        resolve_with_value(firm.hub, row.id, "Atlantis")
    assert len(firm.conflicts()) == 1


def test_a_decision_needs_an_open_conflict(firm: Firm) -> None:
    firm.edit(crm={"name": "Acme SE"}, erp={"name": "Acme AG"})
    resolve_conflict(firm.hub, 1, "ours")
    with pytest.raises(DecisionError, match="closed already"):
        resolve_conflict(firm.hub, 1, "theirs")
    with pytest.raises(UnknownError, match="no conflict 7"):
        resolve_with_value(firm.hub, 7, "x")
    with pytest.raises(UnknownError, match="no open review 7"):
        decide_review(firm.hub, 7, "new")


def test_a_decision_overrules_no_later_edit(firm: Firm) -> None:
    firm.edit(crm={"name": "Acme SE"}, erp={"name": "Acme AG"})
    resolve_conflict(firm.hub, 1, "theirs")
    firm.edit(shop={"name": "Acme Group"})
    assert firm.shown("name") <= {"Acme Group", "Acme AG"}
    assert firm.systems["shop"].get("companies", "1")["name"] == "Acme Group"
