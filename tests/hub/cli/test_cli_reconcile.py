"""`tulay reconcile` counts pairs, each in one column, and names what holds a record."""

from __future__ import annotations

from typing import Any

HEAD = "ENTITY   MATCHED  DIFFERENT  MISSING  HELD  ONE SIDE ONLY"


def counts(office: Any, code: int) -> dict[str, int]:
    """Returns the counts of the JSON document, which are those of the table."""
    found = office.json("reconcile", code=code)["counts"]["company"]
    head, row = office.lines("reconcile", code=code)[:2]
    assert head == HEAD
    names = ("matched", "different", "missing", "held", "one_side")
    assert row.split() == ["company", *(str(found[name]) for name in names)]
    return {name: found[name] for name in names if found[name]}


def test_a_pair_counts_once(agreed: Any) -> None:
    agreed.crm.create("companies", name="Globex", domain="globex.example")
    agreed.run("sync", "--once")
    assert counts(agreed, 0) == {"matched": 2}


def test_a_record_of_one_system_is_no_pair(office: Any) -> None:
    """The policy creates companies in the CRM only: a new company of the CRM stays there."""
    text = office.config.read_text(encoding="utf-8")
    office.config.write_text(f"{text}    create: [crm]\n", encoding="utf-8")
    office.crm.create("companies", name="ACME", domain="acme.example")
    office.erp.create("companies", name="Globex", domain="globex.example")
    office.run("sync", "--once")
    assert counts(office, 0) == {"matched": 1, "one_side": 1}


def test_a_refused_write_is_held_by_its_entry(office: Any) -> None:
    office.erp.declare("companies", required=("phone",))
    office.crm.create("companies", name="ACME")
    office.crm.create("companies", name="Globex", phone="+4930222222")
    office.run("sync", "--once", code=None)
    (entry,) = office.json("errors")
    assert counts(office, 1) == {"matched": 1, "held": 1}
    (gap,) = office.json("reconcile", code=1)["missing"]
    assert (gap["entry"], gap["title"], gap["connection"]) == (entry["id"], "ACME", "erp")
    lines = office.lines("reconcile", code=1)
    assert any(line.startswith(f"held by {entry['id']}: company ACME in erp:") for line in lines)


def test_a_refused_change_is_held_and_named(agreed: Any) -> None:
    agreed.erp.declare("companies", required=("industry",))
    agreed.crm.edit("companies", "1", name="Acme SE")
    agreed.run("sync", "--once", code=None)
    (entry,) = agreed.json("errors")
    assert counts(agreed, 1) == {"held": 1}
    (difference,) = agreed.json("reconcile", code=1)["different"]
    assert (difference["path"], difference["entry"]) == ("name", entry["id"])
    assert f"(held by {entry['id']})" in "\n".join(agreed.lines("reconcile", code=1))


def test_a_record_under_review_is_held(office: Any) -> None:
    office.crm.create("companies", name="Globex GmbH", domain="globex.example")
    office.erp.create("companies", name="Globex Ltd", phone="+4930222222")
    office.run("sync", "--once", code=None)
    assert counts(office, 1)["held"] == 2
    gap = next(m for m in office.json("reconcile", code=1)["missing"] if m["connection"] == "hub")
    assert (gap["entry"], gap["title"], gap["source"]) == ("review-1", "Globex Ltd", "erp")


def test_a_conflict_is_a_numbered_difference(clash: Any) -> None:
    assert counts(clash, 1) == {"different": 1}
    assert "(conflict 1)" in "\n".join(clash.lines("reconcile", code=1))


def test_a_deleted_record_is_missing_by_name(agreed: Any) -> None:
    agreed.erp.delete("companies", "1")
    assert counts(agreed, 1) == {"missing": 1}
    lines = agreed.lines("reconcile", code=1)
    assert any(line.startswith("missing: company ACME in erp:") for line in lines)
