"""What people decide and ask: conflicts, letters, links, reviews, explain."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_conflict_is_listed_and_shown(clash: Any) -> None:
    (row,) = clash.json("conflicts")
    assert (row["id"], row["path"], row["base"]) == (1, "name", "ACME")
    assert {row["ours"], row["theirs"]} == {"Acme SE", "Acme AG"}
    lines = clash.lines("conflicts")
    assert lines[0].split() == ["NO", "ENTITY", "CONNECTION", "FIELD", "WHAT"]
    assert lines[1].split()[:4] == ["1", "company", row["connection"], "name"]
    assert any(
        line.split()[:2] == ["agreed", "last"] for line in clash.lines("conflicts", "show", "1")
    )


@pytest.mark.parametrize(("word", "side"), [("--ours", "ours"), ("--theirs", "theirs")])
def test_a_persons_choice_ends_it_on_both_sides(clash: Any, word: str, side: str) -> None:
    (row,) = clash.json("conflicts")
    lines = clash.lines("conflicts", "resolve", "1", word)
    assert lines[0] == f"conflict 1: name is now {row[side]}"
    clash.run("sync", "--once")
    assert clash.crm.get("companies", "1")["name"] == row[side]
    assert clash.erp.get("companies", "1")["name"] == row[side]
    assert clash.json("conflicts") == []
    assert [r["resolution"] for r in clash.json("conflicts", "list", "--all")] == [side]


def test_a_third_value_goes_everywhere(clash: Any) -> None:
    clash.run("conflicts", "resolve", "1", "--value", " Acme Group ")
    clash.run("sync", "--once")
    assert clash.crm.get("companies", "1")["name"] == "Acme Group"
    assert clash.erp.get("companies", "1")["name"] == "Acme Group"
    found = clash.json("explain", "company", "1", "name")
    assert found["values"][0]["origin"] == "person"


def test_resolving_needs_one_word_and_a_conflict(clash: Any) -> None:
    assert "--ours, --theirs or --value" in clash.run("conflicts", "resolve", "1", code=2).stderr
    clash.run("conflicts", "resolve", "1", "--ours", "--theirs", code=2)
    assert (
        "there is no conflict 9" in clash.run("conflicts", "resolve", "9", "--ours", code=2).stderr
    )
    assert "there is no conflict 9" in clash.run("conflicts", "show", "9", code=2).stderr
    clash.run("conflicts", "resolve", "1", "--ours")
    assert (
        "closed already (ours)" in clash.run("conflicts", "resolve", "1", "--ours", code=2).stderr
    )


def test_explain_names_origin_policy_and_loser(clash: Any) -> None:
    (row,) = clash.json("conflicts")
    found = clash.json("explain", "company", "acme.example")
    name = next(v for v in found["values"] if v["path"] == "name")
    assert name["value"] == row["ours"]
    assert name["policy"] == "owner: any; both: ask; first: ask"
    place = next(p for p in found["places"] if p["connection"] == row["connection"])
    assert [gap["conflict"] for gap in place["gaps"]] == [1]
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
    assert "2 records fit 'acme'" in agreed.run(
        "explain", "company", "acme.", code=None
    ).output or (agreed.json("explain", "company", "acme.example")["title"] == "ACME")
    assert agreed.json("explain", "company", "acme")["title"] == "ACME"
    assert "2 records fit 'cme'" in agreed.run("explain", "company", "cme", code=2).stderr


def test_links_show_who_belongs_together(agreed: Any) -> None:
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
    """Both sides have a Globex, and nothing proves that the two are one."""
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


def test_a_person_says_that_they_are_one(alike: Any) -> None:
    (review,) = alike.json("links", "review")
    golden = review["candidates"][0]["id"]
    assert alike.json("links", "decide", "1", golden[:6])["decision"] == golden
    alike.run("sync", "--once", code=None)
    (row,) = alike.json("links")
    assert [(r["connection"], r["key"]) for r in row["records"]] == [("crm", "1"), ("erp", "1")]
    assert alike.json("links", "review") == []


def test_a_person_says_that_it_is_new(alike: Any) -> None:
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


def test_a_refused_write_is_a_letter_with_a_reason(buried: Any) -> None:
    (letter,) = buried.json("letters")
    assert letter["id"].startswith("push-")
    assert (letter["state"], letter["where"]) == ("buried", "erp")
    assert "phone" in letter["reason"]
    assert buried.json("letters", "show", letter["id"]) == letter
    assert buried.lines("letters")[1].split()[:3] == [letter["id"], "buried", "erp"]


def test_a_letter_is_tried_again_when_a_person_says_so(buried: Any) -> None:
    buried.erp.declare("companies", required=())
    assert buried.lines("letters", "replay", "--all")[0].endswith("will be tried again")
    buried.run("sync", "--once")
    assert [row["name"] for row in buried.erp.records("companies").values()] == ["ACME"]
    assert buried.json("letters") == []


def test_a_letter_is_dropped(buried: Any) -> None:
    (letter,) = buried.json("letters")
    buried.run("letters", "drop", letter["id"])
    assert buried.json("letters") == []
    assert "there is no letter" in buried.run("letters", "drop", letter["id"], code=2).stderr


def test_replay_wants_one_letter_or_all(office: Any) -> None:
    office.run("letters", "replay", code=2)
    office.run("letters", "replay", "push-1", "--all", code=2)
    assert "there is no letter 'push-1'" in office.run("letters", "replay", "push-1", code=2).stderr


def test_two_records_become_one_and_two_again(office: Any) -> None:
    office.crm.create("companies", name="Acme", domain="acme.example")
    office.crm.create("companies", name="Bolt", domain="bolt.example")
    office.run("sync", "--once")
    assert "nothing was merged" in office.run("links", "merges").stdout
    said = office.json("links", "merge", "company", "Acme", "Bolt")
    (merge,) = office.json("links", "merges")
    assert (merge["winner"], merge["loser"]) == (said["winner"], said["loser"])
    assert "Bolt into Acme: a person decided" in " ".join(office.lines("links", "merges"))
    assert len(office.json("links", "list", "company")) == 1
    assert office.json("links", "split", str(merge["id"]))["loser"] == said["loser"]
    assert len(office.json("links", "list", "company")) == 2
    office.run("sync", "--once")
    assert {one["name"] for one in office.erp.records("companies").values()} == {"Acme", "Bolt"}
    again = office.run("links", "split", str(merge["id"]), code=2)
    assert "was undone already" in again.stderr
