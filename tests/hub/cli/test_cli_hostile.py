"""Values typed by customers or attackers are shown as they are and never interpreted."""

from __future__ import annotations

from typing import Any

HOSTILE = [
    "\x1b]0;owned\x07Acme",
    "Acme\x1b[2J\x1b[1;1H",
    "[bold red]Acme[/] [link=https://evil.example]x[/link]",
    "exe.\u202egnp.Acme",
    "'; DROP TABLE golden; --",
    "%_Acme\\",
    '=HYPERLINK("https://evil.example")',
    "<script>alert(1)</script>",
    "{{7*7}} ${SECRET} %(name)s {0}",
]


def test_hostile_names_are_shown_harmlessly(office: Any) -> None:
    """All names in one sync: they propagate, are edited in both systems, and are shown as text."""
    for number, name in enumerate(HOSTILE):
        office.crm.create("companies", name=name, domain=f"acme{number}.example")
    office.run("sync", "--once")
    there = {
        one["domain"]: (key, one["name"]) for key, one in office.erp.records("companies").items()
    }
    assert len(there) == len(HOSTILE)
    links = office.json("links", "list", "company")
    assert len(links) >= len(HOSTILE)
    for key, one in office.crm.records("companies").items():
        other, stored = there[one["domain"]]
        assert stored == one["name"].strip()
        office.erp.edit("companies", other, name=f"{one['name']} 2")
        office.crm.edit("companies", key, name=f"{one['name']} 3")
    office.run("sync", "--once", code=None)
    conflicts_found = office.json("conflicts")
    assert len(conflicts_found) == len(HOSTILE)
    names = [stored for _, stored in there.values()]
    for words in (
        ("links", "list", "company"),
        *(("explain", "company", name) for name in names),
        ("conflicts",),
        *(("conflicts", "show", str(one["id"])) for one in conflicts_found),
        ("status",),
        ("reconcile",),
    ):
        said = office.run(*words, code=None).output
        assert "\x1b" not in said
        assert "\x07" not in said
        assert "\u202e" not in said
    assert {one["theirs"][:-2] for one in conflicts_found} == set(names)
    assert {one["theirs"][-2:] for one in conflicts_found} <= {" 2", " 3"}
