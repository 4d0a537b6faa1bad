"""The memory system treats values, states, versions and users as real systems do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from connectors.kit.budget import Budget
from connectors.kit.contract import Action, Create, Delete, FieldNeed, Merge, Update, Write
from connectors.kit.errors import (
    ContractError,
    RecordError,
    RecordMissingError,
    RecordRejectedError,
    RecordStaleError,
)
from connectors.kit.manifest import StreamFacts
from connectors.memory import MemoryConnector, MemorySystem, Written, manifest_of

README = Path(__file__).parents[3] / "connectors" / "memory" / "README.md"


@pytest.fixture
def crm() -> MemorySystem:
    return MemorySystem("crm")


@pytest.fixture
def connector(crm: MemorySystem) -> MemoryConnector:
    return MemoryConnector.of(crm, page=2)


def wrote(connector: MemoryConnector, stream: str, write: Write) -> str:
    outcome = connector.write(stream, [write])[0]
    assert outcome.error is None, outcome.error
    assert outcome.key
    return outcome.key


def refusal(connector: MemoryConnector, stream: str, write: Write) -> RecordError:
    error = connector.write(stream, [write])[0].error
    assert isinstance(error, RecordError)
    return error


def test_a_system_may_rewrite_values(crm: MemorySystem, connector: MemoryConnector) -> None:
    ways = {"name": "upper", "code": "truncate:4", "lines.price": "round:2", "total": "round:1"}
    crm.declare("orders", ways=ways)
    payload = {"name": "Acme", "code": "ABCDEF", "lines": [{"price": "1.005"}], "total": 2.25}
    outcome = connector.write("orders", [Create("o1", payload)])[0]
    assert outcome.record is not None
    assert outcome.record.payload == {
        "name": "ACME",
        "code": "ABCD",
        "lines": [{"id": "1", "price": "1.01"}],
        "total": 2.3,
        "state": "draft",
    }
    assert outcome.record.payload == crm.get("orders", "1")


def test_list_items_are_patched_by_id(crm: MemorySystem) -> None:
    key = crm.create("orders", lines=[{"sku": "A", "quantity": "1"}, {"sku": "B"}])
    change = [{"id": "1", "quantity": "3"}, {"id": "2", "remove": True}, {"sku": "C"}]
    crm.edit("orders", key, lines=change)
    assert crm.get("orders", key)["lines"] == [
        {"id": "1", "sku": "A", "quantity": "3"},
        {"id": "3", "sku": "C"},
    ]


def test_lists_may_be_replaced_instead(crm: MemorySystem) -> None:
    crm.declare("orders", lists="replace")
    key = crm.create("orders", lines=[{"sku": "A"}])
    crm.edit("orders", key, lines=[{"sku": "B"}])
    assert crm.get("orders", key)["lines"] == [{"sku": "B"}]


def test_a_duplicate_value_names_its_field(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.declare("contacts", unique=("email", "person.tax_id"))
    crm.create("contacts", email="ann@acme.example", person={"tax_id": "1"})
    same_mail = refusal(connector, "contacts", Create("a", {"email": "ann@acme.example"}))
    assert isinstance(same_mail, RecordRejectedError)
    assert set(same_mail.fields) == {"email"}
    assert "ann@acme" not in str(same_mail)
    nested = refusal(connector, "contacts", Create("b", {"person": {"tax_id": "1"}}))
    assert isinstance(nested, RecordRejectedError)
    assert set(nested.fields) == {"person.tax_id"}
    assert len(crm.records("contacts")) == 1


def test_a_delete_frees_its_unique_value(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.declare("contacts", unique=("email",))
    crm.delete("contacts", crm.create("contacts", email="a@x.example", external_id="o1"))
    wrote(connector, "contacts", Create("o1", {"email": "a@x.example"}))
    assert len(crm.records("contacts")) == 1


def test_required_and_unknown_fields_are_refused(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    crm.declare(
        "products", required=("sku",), closed=True, fields={"sku": "text", "meta": "object"}
    )
    error = refusal(connector, "products", Create("a", {"name": "Widget", "meta": {"a": 1}}))
    assert isinstance(error, RecordRejectedError)
    assert error.fields == {"sku": "required", "name": "no such field"}
    assert error.key is None


def test_a_payload_that_is_not_json_is_refused(connector: MemoryConnector) -> None:
    payload: dict[str, Any] = {"total": {1, 2}}
    assert "not JSON" in str(refusal(connector, "orders", Create("a", payload)))


def test_states_move_by_declared_actions_only(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    key = wrote(connector, "orders", Create("a", {"number": "1"}))
    for action, state in (("quote", "quoted"), ("confirm", "confirmed"), ("process", "processing")):
        wrote(connector, "orders", Action(key, action, None))
        assert crm.get("orders", key)["state"] == state
    for write in (
        Action(key, "cancel", None),
        Action(key, "fly", None),
        Update(key, {"state": "done"}, None),
        Create("b", {"state": "done"}),
    ):
        assert isinstance(refusal(connector, "orders", write), RecordRejectedError)
    assert crm.get("orders", key)["state"] == "processing"
    assert crm.writes[-1] == Written("orders", key, "act:process")


def test_a_locking_stream_refuses_stale_writes(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    key = crm.create("orders", number="1")
    version = connector.fetch("orders", [key]).records[0].version
    crm.edit("orders", key, number="2")
    for write in (
        Update(key, {"number": "3"}, version),
        Delete(key, version),
        Action(key, "quote", version),
    ):
        assert isinstance(refusal(connector, "orders", write), RecordStaleError)
    assert crm.get("orders", key) == {"number": "2", "state": "draft"}
    facts = crm.shape("orders").facts.model_copy(update={"lock": "none"})
    crm.declare("orders", facts=facts)
    wrote(connector, "orders", Update(key, {"number": "3"}, version))


def test_writes_to_a_gone_record_are_refused(crm: MemorySystem, connector: MemoryConnector) -> None:
    gone, loser, winner = (crm.create("companies", name=n) for n in "abc")
    crm.delete("companies", gone)
    crm.merge("companies", loser, into=winner)
    for key in (gone, loser, "77"):
        error = refusal(connector, "companies", Update(key, {"name": "x"}, None))
        assert isinstance(error, RecordMissingError)
        assert error.key == key


def test_operations_not_claimed_are_refused() -> None:
    facts = {"log": StreamFacts(title="lines", create=True)}
    system = MemorySystem("erp", streams=facts)
    connector = MemoryConnector.of(system)
    key = wrote(connector, "log", Create("o1", {"text": "a"}))
    for write in (Update(key, {"text": "b"}, None), Delete(key, None), Action(key, "x", None)):
        assert isinstance(refusal(connector, "log", write), RecordRejectedError)
    assert connector.find("log", ["o1"]) == {}
    assert connector.fetch("log", [key]).records[0].external_id is None
    assert manifest_of(system).streams == facts


def test_merges_are_followed_to_the_last_survivor(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    a, b, c = (crm.create("companies", name=n, external_id=f"once {n}") for n in "abc")
    crm.merge("companies", a, into=b)
    crm.merge("companies", b, into=c)
    page = connector.fetch("companies", [a, b, c])
    assert list(page.merges) == [Merge(a, c), Merge(b, c)]
    assert [record.key for record in page.records] == [c]
    assert connector.find("companies", ["once a"])["once a"].key == c


def test_a_survivor_that_was_deleted_is_gone(crm: MemorySystem, connector: MemoryConnector) -> None:
    a, b = (crm.create("companies", name=n) for n in "ab")
    crm.merge("companies", a, into=b)
    crm.delete("companies", b)
    page = connector.fetch("companies", [a])
    assert (list(page.merges), list(page.gone), list(page.records)) == ([Merge(a, b)], [b], [])


def test_edits_by_users_are_not_in_the_hubs_log(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    a, b = (crm.create("companies", name=n) for n in "ab")
    crm.edit("companies", a, name="c")
    crm.merge("companies", a, into=b)
    crm.delete("companies", b)
    assert crm.writes == []
    key = wrote(connector, "companies", Create("o", {"name": "d"}))
    wrote(connector, "companies", Update(key, {"name": "e"}, None))
    wrote(connector, "companies", Delete(key, None))
    assert [line.op for line in crm.writes] == ["create", "update", "delete"]
    crm.forget_writes()
    assert crm.writes == []


def test_describe_tells_declared_and_seen_fields(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    crm.declare("orders", fields={"total": "number"}, ways={"name": "truncate:9"})
    crm.create("orders", name="x", address={"city": "Bonn"}, lines=[{"sku": "A"}], open=True)
    fields = connector.describe("orders").fields
    kinds = {name: field.type for name, field in fields.items()}
    assert kinds == {
        "name": "text",
        "address.city": "text",
        "lines": "list",
        "open": "boolean",
        "state": "text",
        "total": "number",
        "once": "text",
    }
    assert fields["name"].length == 9
    assert not fields["state"].writable


def test_wanted_fields_are_created_once(connector: MemoryConnector) -> None:
    need = FieldNeed("companies", "tulay_balance", "number", "Balance")
    assert len(connector.prepare([need])) == 1
    assert list(connector.prepare([need])) == []
    assert connector.describe("companies").fields["tulay_balance"].type == "number"


def test_unknown_streams_break_the_contract(connector: MemoryConnector) -> None:
    with pytest.raises(ContractError, match="'leads'"):
        connector.fetch("leads", ["1"])


def test_settings_may_add_streams() -> None:
    connector = MemoryConnector({"system": "with leads", "streams": ["leads"]}, Budget())
    key = wrote(connector, "leads", Create("o1", {"name": "x"}))
    assert connector.fetch("leads", [key]).records[0].external_id == "o1"


def test_connectors_share_the_system_they_name() -> None:
    crm = MemorySystem.fresh("shared by name")
    first, second = (MemoryConnector({"system": "shared by name"}) for _ in range(2))
    key = wrote(first, "companies", Create("o1", {"name": "Acme"}))
    assert second.fetch("companies", [key]).records[0].payload == {"name": "Acme"}
    assert crm.records("companies") == {key: {"name": "Acme"}}
    assert MemorySystem.fresh("shared by name").records("companies") == {}


def test_more_than_a_batch_is_refused(crm: MemorySystem, connector: MemoryConnector) -> None:
    facts = crm.shape("companies").facts.model_copy(update={"batch": 2})
    crm.declare("companies", facts=facts)
    with pytest.raises(ContractError, match="at most 2"):
        connector.fetch("companies", ["1", "2", "3"])
    with pytest.raises(ContractError, match="at most 2"):
        connector.write("companies", [Create(str(n), {}) for n in range(3)])
    assert crm.records("companies") == {}


def test_every_call_goes_through_the_budget(crm: MemorySystem) -> None:
    waits: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    MemorySystem.shared["budgeted"] = crm
    budget = Budget(2, 10.0, clock=lambda: now[0], sleep=sleep)
    connector = MemoryConnector({"system": "budgeted"}, budget)
    for _ in range(3):
        connector.fetch("companies", ["1"])
    assert len(waits) == 1
    assert crm.calls == 3


def test_the_code_in_the_readme_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.S | re.M)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, str(README), "exec"), {})


def test_lost_updates_are_reported_without_locks() -> None:
    """A system without locks can report which updates were lost."""
    facts = StreamFacts(title="companies", create=True, update=True, lock="told")
    system = MemorySystem("crm", streams={"companies": facts})
    connector = MemoryConnector.of(system)
    key = system.create("companies", name="Known", address={"city": "Bonn"}, lines=[{"n": 1}])
    version = connector.fetch("companies", [key]).records[0].version
    system.edit("companies", key, name="Typed", address={"city": "Köln"})
    system.edit("companies", key, lines=[{"id": "1", "n": 2}], phone="1")
    patch = {"name": "Ours", "address": {"city": "Köln"}, "lines": [{"id": "1", "n": 3}]}
    (outcome,) = connector.write("companies", [Update(key, patch, if_version=version)])
    assert outcome.overwritten == {"name": "Typed", "lines": [{"id": "1", "n": 2}]}
    assert system.get("companies", key)["name"] == "Ours"
    (again,) = connector.write(
        "companies", [Update(key, {"name": "Once more"}, if_version=outcome.record.version)]
    )
    assert again.overwritten is None
