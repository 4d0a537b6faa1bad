"""What people decide and ask: conflicts, errors, links, reviews, explain."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hub.cli.screen import Screen


def test_a_conflict_is_listed_and_shown(clash: Any) -> None:
    (row,) = clash.json("conflicts")
    assert (row["id"], row["path"], row["base"]) == (1, "name", "ACME")
    assert {row["ours"], row["theirs"]} == {"Acme SE", "Acme AG"}
    assert row["values"] == {row["holder"]: row["ours"], row["connection"]: row["theirs"]}
    assert {row["holder"], row["connection"]} == {"crm", "erp"}
    lines = clash.lines("conflicts")
    assert lines[0].split() == ["NO", "ENTITY", "RECORD", "FIELD", "VALUES"]
    both = f"{row['holder']}: {row['ours']} | {row['connection']}: {row['theirs']}"
    assert lines[1].split() == ["1", "company", row["title"], "name", *both.split()] or (
        f"  {row['title']}  name   {both}" in lines[1]
    )
    lines = clash.lines("conflicts", "show", "1")
    assert any(line.split()[:2] == ["agreed", "last"] for line in lines)
    shown = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines[:-1]}
    assert (shown["crm"], shown["erp"]) == ("Acme SE", "Acme AG")
    assert "ours" not in "".join(lines)
    assert "theirs" not in "".join(lines)


@pytest.mark.parametrize(("take", "name"), [("crm", "Acme SE"), ("erp", "Acme AG")])
def test_a_persons_choice_ends_it_in_both_systems(clash: Any, take: str, name: str) -> None:
    (row,) = clash.json("conflicts")
    side = "theirs" if take == row["connection"] else "ours"
    done = clash.run("conflicts", "resolve", "1", "--take", take)
    assert done.stdout.splitlines()[0] == f"conflict 1: name is now {name}"
    assert done.stderr == ""
    clash.run("sync", "--once")
    assert clash.crm.get("companies", "1")["name"] == name
    assert clash.erp.get("companies", "1")["name"] == name
    assert clash.json("conflicts") == []
    (closed,) = clash.json("conflicts", "list", "--all")
    assert (closed["resolution"], closed["decided"]) == (side, take)
    assert clash.lines("conflicts", "list", "--all")[1].split()[-1] == take


@pytest.mark.parametrize("words", [("--ours",), ("--take", "ours"), ("--theirs",)])
def test_the_old_sides_work_with_a_hint(clash: Any, words: tuple[str, ...]) -> None:
    (row,) = clash.json("conflicts")
    done = clash.run("conflicts", "resolve", "1", *words)
    side = words[-1].strip("-")
    assert done.stdout.splitlines()[0] == f"conflict 1: name is now {row[side]}"
    assert "--take crm, --take erp" in done.stderr
    assert "--ours" not in clash.run("conflicts", "resolve", "--help").stdout


def test_a_third_value_goes_everywhere(clash: Any) -> None:
    clash.run("conflicts", "resolve", "1", "--value", " Acme Group ")
    clash.run("sync", "--once")
    assert clash.crm.get("companies", "1")["name"] == "Acme Group"
    assert clash.erp.get("companies", "1")["name"] == "Acme Group"
    found = clash.json("explain", "company", "1", "name")
    assert found["values"][0]["origin"] == "person"


def test_resolving_needs_one_word_and_a_conflict(clash: Any) -> None:
    resolve = ("conflicts", "resolve")
    assert "--take SYSTEM or --value" in clash.run(*resolve, "1", code=2).stderr
    clash.run(*resolve, "1", "--ours", "--theirs", code=2)
    clash.run(*resolve, "1", "--take", "crm", "--value", "x", code=2)
    clash.run(*resolve, "1", "--take", "crm", "--ours", code=2)
    assert "there is no conflict 9" in clash.run(*resolve, "9", "--take", "crm", code=2).stderr
    assert "there is no conflict 9" in clash.run("conflicts", "show", "9", code=2).stderr
    wrong = clash.run(*resolve, "1", "--take", "shop", code=2).stderr
    assert "--take crm" in wrong
    assert "--take erp" in wrong
    clash.run(*resolve, "1", "--take", "crm")
    again = clash.run(*resolve, "1", "--take", "crm", code=2).stderr
    assert "closed already (crm)" in again


def test_explain_names_origin_policy_and_loser(clash: Any) -> None:
    (row,) = clash.json("conflicts")
    found = clash.json("explain", "company", "acme.example")
    name = next(v for v in found["values"] if v["path"] == "name")
    assert name["value"] == row["ours"]
    assert name["policy"] == "owner: any; on_conflict: ask; on_first_match: ask"
    view = next(p for p in found["places"] if p["connection"] == row["connection"])
    assert [gap["conflict"] for gap in view["gaps"]] == [1]
    text = "\n".join(clash.lines("explain", "company", "acme.example"))
    assert "conflict 1" in text
    assert "in sync" in text


def test_explain_helps_to_find_the_record(agreed: Any) -> None:
    assert "did you mean company?" in agreed.run("explain", "compny", "x", code=2).stderr
    assert (
        "there is no company 'Globex'" in agreed.run("explain", "company", "Globex", code=2).stderr
    )
    wrong = agreed.run("explain", "company", "ACME", "nam", code=2).stderr
    assert "did you mean name?" in wrong
    agreed.crm.create("companies", name="ACME Holding", domain="acme-holding.example")
    agreed.run("sync", "--once")
    assert "2 records match 'acme'" in agreed.run(
        "explain", "company", "acme.", code=None
    ).output or (agreed.json("explain", "company", "acme.example")["title"] == "ACME")
    assert agreed.json("explain", "company", "acme")["title"] == "ACME"
    assert "2 records match 'cme'" in agreed.run("explain", "company", "cme", code=2).stderr


def test_links_show_what_belongs_together(agreed: Any) -> None:
    (row,) = agreed.json("links")
    assert [(r["connection"], r["key"]) for r in row["records"]] == [("crm", "1"), ("erp", "1")]
    assert agreed.lines("links", "list", "company")[1].split() == (
        "company ACME crm companies 1, erp companies 1".split()
    )
    assert agreed.json("links", "list", "product") == []
    assert agreed.json("links", "list", "--connection", "erp") == [row]
    assert agreed.json("links", "show", "company", "acme")["id"] == row["id"]
    assert "no connection 'x'" in agreed.run("links", "list", "--connection", "x", code=2).stderr
    assert "no entity 'x'" in agreed.run("links", "list", "x", code=2).stderr


def test_a_long_list_says_that_there_is_more(office: Any) -> None:
    for number in range(3):
        office.crm.create("companies", name=f"Company {number}", domain=f"c{number}.example")
    office.run("sync", "--once")
    lines = office.lines("links", "list", "--limit", "2")
    assert len(lines) == 4
    assert lines[-1].startswith("there are more than 2")


@pytest.fixture
def alike(office: Any) -> Any:
    """Both systems have a Globex, and nothing proves that the two are one."""
    office.crm.create("companies", name="Globex GmbH", domain="globex.example")
    office.erp.create("companies", name="Globex Ltd", phone="+4930222222")
    office.run("sync", "--once", code=None)
    return office


def test_a_look_alike_waits_for_a_person(alike: Any) -> None:
    (review,) = alike.json("links", "review")
    assert review["title"] == "Globex Ltd"
    assert [c["title"] for c in review["candidates"]] == ["Globex GmbH"]
    lines = alike.lines("links", "review")
    assert lines[0] == "1. company Globex Ltd (erp companies 1)"
    assert lines[-1].strip() == "tulay links decide 1 ID | new"
    assert len(alike.erp.records("companies")) == 1


def test_a_person_merges_two_records(alike: Any) -> None:
    (review,) = alike.json("links", "review")
    golden = review["candidates"][0]["id"]
    assert alike.json("links", "decide", "1", golden[:6])["decision"] == golden
    alike.run("sync", "--once", code=None)
    (row,) = alike.json("links")
    assert [(r["connection"], r["key"]) for r in row["records"]] == [("crm", "1"), ("erp", "1")]
    assert alike.json("links", "review") == []


def test_a_person_decides_that_it_is_new(alike: Any) -> None:
    alike.run("links", "decide", "1", "new")
    alike.run("sync", "--once")
    names = sorted(row["name"] for row in alike.crm.records("companies").values())
    assert names == ["Globex GmbH", "Globex Ltd"]
    assert alike.json("links", "review") == []


def test_deciding_knows_reviews_and_records(alike: Any) -> None:
    assert "no open review 9" in alike.run("links", "decide", "9", "new", code=2).stderr
    assert "no company with the id 'xx'" in alike.run("links", "decide", "1", "xx", code=2).stderr


@pytest.fixture
def buried(office: Any) -> Any:
    """The ERP refuses a company, because it wants a phone number."""
    office.erp.declare("companies", required=("phone",))
    office.crm.create("companies", name="ACME")
    office.run("sync", "--once", code=None)
    return office


def test_a_refused_write_is_an_error_with_a_name(buried: Any) -> None:
    (entry,) = buried.json("errors")
    assert entry["id"].startswith("push-")
    assert (entry["state"], entry["where"], entry["name"]) == ("held", "erp", "ACME")
    assert entry["what"] == f"company {entry['golden_id']}"
    assert "phone" in entry["reason"]
    assert buried.json("errors", "show", entry["id"]) == entry
    head, row = buried.lines("errors")
    assert head.split() == ["ENTRY", "STATE", "WHERE", "RECORD", "REASON"]
    assert row.split()[:4] == [entry["id"], "held", "erp", "ACME"]
    assert entry["golden_id"] not in row
    shown = dict(line.split(maxsplit=1) for line in buried.lines("errors", "show", entry["id"]))
    assert shown["record"] == "ACME"
    assert shown["next"].endswith(f"tulay errors retry {entry['id']}")


def test_a_person_retries_an_error(buried: Any) -> None:
    (entry,) = buried.json("errors")
    buried.erp.declare("companies", required=())
    (said,) = buried.lines("errors", "retry", entry["id"])
    assert said == f"{entry['id']} ACME: will be retried with the next sync"
    assert buried.json("errors", "retry", "--all")["errors"] == []
    buried.run("sync", "--once")
    assert [row["name"] for row in buried.erp.records("companies").values()] == ["ACME"]
    assert buried.json("errors") == []


def test_an_error_is_dropped(buried: Any) -> None:
    (entry,) = buried.json("errors")
    buried.run("errors", "drop", entry["id"])
    assert buried.json("errors") == []
    assert "there is no entry" in buried.run("errors", "drop", entry["id"], code=2).stderr


def test_retry_wants_one_entry_or_all(office: Any) -> None:
    office.run("errors", "retry", code=2)
    office.run("errors", "retry", "push-1", "--all", code=2)
    assert "there is no entry 'push-1'" in office.run("errors", "retry", "push-1", code=2).stderr


def test_letters_is_an_old_word(buried: Any) -> None:
    """It works for one release, names the new one, and is not listed in the help."""
    new = buried.run("errors").stdout
    old = buried.run("letters")
    assert (old.stdout, old.stderr.count("tulay errors")) == (new, 1)
    (entry,) = buried.json("letters")
    assert buried.run("letters", "replay", "--all").stdout.startswith(entry["id"])
    buried.run("letters", "drop", entry["id"], code=2)
    said = buried.run("--help").stdout
    assert "errors" in said
    assert "letters" not in said


@pytest.fixture
def refused(office: Any) -> Any:
    """The ERP refuses three companies for the same reason."""
    office.erp.declare("companies", required=("phone",))
    for number in range(3):
        office.crm.create("companies", name=f"Company {number}", domain=f"c{number}.example")
    for _ in range(2):
        office.run("sync", "--once", code=None)
    return office


def test_equal_errors_are_one_row_with_a_count(refused: Any) -> None:
    (_, row) = refused.lines("errors", "--quiet")
    assert re.search(r"  Company \d and 2 more  ", row)
    assert refused.lines("errors")[-1].startswith("3 records; equal errors are one row")
    rows = refused.lines("errors", "list", "--each")[1:]
    assert sorted(re.findall(r"Company \d", "".join(rows))) == [f"Company {n}" for n in range(3)]
    assert len(refused.json("errors")) == 3


def test_status_counts_records_not_attempts(refused: Any) -> None:
    refused.run("errors", "retry", "--all")
    refused.run("sync", "--once", code=None)
    found = refused.json("status", code=1)
    assert found["quarantined"] == 3
    assert [c["set_aside"] for c in found["connections"]] == [0, 3]
    assert {one["name"] for one in found["errors"]} == {f"Company {n}" for n in range(3)}
    last = refused.lines("status", code=1)[-1]
    assert last.split("  ")[0] == "3 records in quarantine, with a reason"
    assert last.endswith("tulay errors")


def test_two_records_become_one_and_two_again(office: Any) -> None:
    office.crm.create("companies", name="Acme", domain="acme.example")
    office.crm.create("companies", name="Bolt", domain="bolt.example")
    office.run("sync", "--once")
    assert "nothing was merged" in office.run("links", "merges").stdout
    said = office.json("links", "merge", "company", "Acme", "Bolt")
    (merge,) = office.json("links", "merges")
    assert (merge["winner"], merge["loser"]) == (said["winner"], said["loser"])
    assert said["winner"] != said["loser"]
    assert "Bolt into Acme: a person decided" in " ".join(office.lines("links", "merges"))
    assert len(office.json("links", "list", "company")) == 1
    assert office.json("links", "split", str(merge["id"]))["loser"] == said["loser"]
    assert len(office.json("links", "list", "company")) == 2
    office.run("sync", "--once")
    assert {one["name"] for one in office.erp.records("companies").values()} == {"Acme", "Bolt"}
    again = office.run("links", "split", str(merge["id"]), code=2)
    assert "was undone already" in again.stderr


def test_a_record_never_read_has_a_name(listed: Any) -> None:
    listed.run("sync", "--once", code=1)
    (entry,) = listed.json("errors")
    assert entry["name"] == "companies 2 in crm"
    assert entry["id"] in listed.lines("errors")[1]


def unlisted(listed: Any) -> tuple[Any, list[str]]:
    """Syncs; returns the one entry of the quarantine, and how a terminal shows it."""
    listed.run("sync", "--once", "--debug", code=1)
    (entry,) = listed.json("errors")
    return entry, listed.drawn("errors", "show", entry["id"])


def test_a_value_that_is_not_listed(listed: Any) -> None:
    """Its field is named everywhere, the value only to the person at a terminal."""
    entry, drawn = unlisted(listed)
    assert entry["reason"].startswith("industry: industry has a value that the mapping does not")
    assert "value     SECRET SAUCE" in drawn
    piped = listed.run("errors", "show", entry["id"])
    logged = listed.run("sync", "--once", "--debug", "--log-format", "json", code=1)
    shown = (
        piped.output + logged.output + listed.run("errors", "show", entry["id"], "--json").output
    )
    assert "SAUCE" not in shown
    for path in listed.folder.glob("tulay.db*"):
        assert b"SAUCE" not in path.read_bytes()


def test_a_value_without_a_word_to_write(office: Any, listed: Any) -> None:
    """What is to be written is shown as well: it waits for a word in the mapping."""
    path = listed.folder / "maps" / "memory" / "company.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("lens: enum, values: {ART: arts}", "custom: true"), "utf-8")
    listed.erp.inject_faults(down=True)
    listed.run("sync", "--once", code=4)
    path.write_text(text, "utf-8")
    listed.erp.inject_faults()
    listed.run("sync", "--once", code=1)
    (entry,) = [one for one in listed.json("errors") if one["kind"] == "push"]
    assert entry["reason"].startswith("industry: industry has no word for this value")
    assert "value     SECRET SAUCE" in listed.drawn("errors", "show", entry["id"])


def test_a_value_is_shown_when_its_system_answers(
    listed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, _ = unlisted(listed)
    listed.crm.inject_faults(down=True)
    monkeypatch.setattr(Screen, "terminal", property(lambda screen: not screen.json))
    result = listed.run("errors", "show", entry["id"])
    assert "warning: the value cannot be shown: " in result.stderr
    assert "industry has a value that the mapping does not list" in result.stdout
