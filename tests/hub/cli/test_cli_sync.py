"""`tulay sync`, `status`, `resume`: the daily routine, and what they report if something is
wrong."""

from __future__ import annotations

from typing import Any

from connectors.memory import Faults


def test_a_round_brings_both_sides_together(office: Any) -> None:
    office.crm.create("companies", name="ACME", domain="acme.example")
    lines = office.lines("sync", "--once")
    assert lines[-1] == "2 rounds: 1 changed, 1 written; nothing is left to do."
    assert office.erp.get("companies", "1")["name"] == "ACME"


def test_a_second_round_has_nothing_to_do(agreed: Any) -> None:
    agreed.crm.forget_writes()
    found = agreed.json("sync", "--once")
    assert (found["rounds"], found["changed"], found["written"]) == (1, 0, 0)
    assert found["quiet"] is True
    assert agreed.crm.writes == []


def test_the_json_of_a_round_counts_every_record(office: Any) -> None:
    office.crm.create("companies", name="ACME")
    runs = office.json("sync", "--once")["runs"]
    pulled = next(r for r in runs if (r["kind"], r["connection"]) == ("pull", "crm"))
    parts = (
        pulled["same"] + pulled["changed"] + pulled["quarantined"] + sum(pulled["skipped"].values())
    )
    assert pulled["seen"] == parts > 0
    assert pulled["adds_up"] is True


def test_only_the_named_entity_is_read(office: Any) -> None:
    office.crm.create("companies", name="ACME")
    found = office.json("sync", "--once", "product")
    assert found["changed"] == 0
    assert "did you mean company?" in office.run("sync", "--once", "compny", code=2).stderr


def test_a_system_that_is_down_ends_with_4(office: Any) -> None:
    """A system that is down ends with exit code 4, and the other one is synced."""
    office.crm.faults = Faults(down=True)
    office.erp.create("companies", name="ACME")
    result = office.run("sync", "--once", code=4)
    assert result.stderr.startswith("error: crm: ")
    office.crm.inject_faults()
    office.run("sync", "--once")
    assert office.crm.get("companies", "1")["name"] == "ACME"


def test_wrong_credentials_pause_the_connection(office: Any) -> None:
    """Wrong credentials pause the connection until a person resumes it."""
    password, office.crm.password = office.crm.password, "changed over there"
    office.crm.create("companies", name="ACME")
    office.run("sync", "--once", code=3)
    status = office.json("status", code=1)
    assert list(status["paused"]) == ["crm"]
    assert "crm is paused: " in "\n".join(office.lines("status", code=1))
    office.crm.password = password
    assert office.lines("resume", "crm") == ["crm is resumed"]
    assert office.lines("resume", "crm") == ["crm was not paused"]
    office.run("sync", "--once")
    assert office.erp.get("companies", "1")["name"] == "ACME"


def test_a_change_over_the_limit_waits(office: Any) -> None:
    text = office.config.read_text(encoding="utf-8")
    office.config.write_text(text + "limits: {share: 0.1, records: 2}\n", encoding="utf-8")
    for number in range(5):
        office.crm.create("companies", name=f"Company {number}")
    office.run("sync", "--once")
    for key in office.crm.records("companies"):
        office.crm.edit("companies", key, phone="+4930123456")
    result = office.run("sync", "--once", code=1)
    assert "tulay resume crm companies --accept" in result.stderr
    assert not any(row.get("phone") for row in office.erp.records("companies").values())
    office.run("resume", "crm", "companies", "--accept")
    office.run("sync", "--once")
    assert all(row.get("phone") for row in office.erp.records("companies").values())


def test_deletions_by_the_hub_wait_for_approval(office: Any) -> None:
    text = office.config.read_text(encoding="utf-8")
    text = text.replace("  company:\n", "  company:\n    delete: propagate\n")
    office.config.write_text(text + "limits: {share: 0.5, records: 2}\n", encoding="utf-8")
    for number in range(8):
        office.crm.create("companies", name=f"Company {number}")
    office.run("sync", "--once")
    for part in (("1", "2"), ("3", "4", "5")):
        for key in part:
            office.crm.delete("companies", key)
        result = office.run("sync", "--once", code=None)
    assert "tulay resume crm companies --accept" in result.stderr
    office.run("resume", "crm", "companies", "--accept")
    result = office.run("sync", "--once", code=1)
    assert "tulay resume erp companies --accept" in result.stderr
    assert len(office.erp.records("companies")) == 6
    (entry, *_) = office.json("errors")
    assert "deleted elsewhere" in entry["reason"]
    office.run("resume", "erp", "companies", "--accept")
    office.run("sync", "--once")
    assert len(office.erp.records("companies")) == 3
    assert office.json("errors") == []


def test_resume_knows_connections_and_streams(office: Any) -> None:
    assert "there is no connection 'crn'" in office.run("resume", "crn", code=2).stderr
    assert "no mapped stream 'deals'" in office.run("resume", "crm", "deals", code=2).stderr


def test_status_shows_the_state_of_everything(agreed: Any) -> None:
    found = agreed.json("status")
    assert [c["connection"] for c in found["connections"]] == ["crm", "erp"]
    assert {s["stream"] for s in found["streams"]} == {"companies"}
    assert all(s["read_at"] for s in found["streams"])
    assert {run["state"] for run in found["runs"]} == {"done"}
    assert (found["conflicts"], found["reviews"], found["letters"]) == (0, 0, [])
    lines = agreed.lines("status")
    assert lines[0].split() == (
        "CONNECTION SYSTEM ROLE STATE TO READ TO WRITE QUARANTINED CALLS TODAY".split()
    )
    assert any(line.split()[:4] == ["crm", "memory", "crm", "ok"] for line in lines)


def test_status_names_what_waits_for_a_person(clash: Any) -> None:
    lines = clash.lines("status", code=1)
    assert any(line.endswith("tulay conflicts") and line.startswith("1 ") for line in lines)


def test_status_before_the_first_round(office: Any) -> None:
    lines = office.lines("status")
    assert lines[-1] == "nothing has run yet; start with `tulay sync --once`"
    assert sum(line.count("never") for line in lines) == 4


def test_json_may_stand_before_the_command(agreed: Any) -> None:
    before = agreed.run("--json", "status").stdout
    assert before.startswith("{")


def test_quiet_leaves_only_results(office: Any) -> None:
    assert office.lines("errors", "--quiet") == []
    assert office.lines("errors") == ["nothing is in quarantine"]


def test_a_record_counts_once_in_all_rounds(listed: Any) -> None:
    """The CRM shows it again in each round; the counts of the runs add up all the same."""
    head, row, *_ = listed.lines("sync", "--once", code=1)
    assert head.split() == ["RUN", "WHERE", "SEEN", "SAME", "CHANGED", "WRITTEN", "QUARANTINED"]
    assert row.split()[0:2] + row.split()[-1:] == ["pull", "crm.companies", "1"]
    found = listed.json("sync", "--once", code=1)
    (pull,) = [run for run in found["runs"] if (run["kind"], run["connection"]) == ("pull", "crm")]
    assert (pull["records_quarantined"], pull["adds_up"]) == (1, True)


def test_a_refused_write_counts_once(office: Any) -> None:
    office.erp.declare("companies", required=("phone",))
    for number in range(3):
        office.crm.create("companies", name=f"Company {number}")
    lines = office.lines("sync", "--once", code=1)
    (push,) = [line for line in lines if line.startswith("push")]
    assert push.split()[-1] == "3"
    assert lines[-1].strip() == "3 records in quarantine: tulay errors"
