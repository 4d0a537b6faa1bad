"""Values that customers, or attackers, typed: shown as what they are, obeyed by nobody."""

from __future__ import annotations

from typing import Any

import pytest

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


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_travel_and_are_shown_harmlessly(office: Any, name: str) -> None:
    office.crm.create("companies", name=name, domain="acme.example")
    office.run("sync", "--once")
    (there,) = office.erp.records("companies").values()
    stored = there["name"]
    assert stored == office.crm.records("companies")["1"]["name"].strip()
    (link,) = office.json("links", "list", "company")
    office.erp.edit("companies", "1", name=f"{name} 2")
    office.crm.edit("companies", "1", name=f"{name} 3")
    office.run("sync", "--once", code=None)
    for words in (
        ("links", "list", "company"),
        ("explain", "company", stored),
        ("conflicts",),
        ("conflicts", "show", "1"),
        ("status",),
        ("reconcile",),
    ):
        said = office.run(*words, code=None).output
        assert "\x1b" not in said
        assert "\x07" not in said
        assert "\u202e" not in said
    assert office.json("conflicts")[0]["theirs"] in (f"{stored} 2", f"{stored} 3")
    assert link
