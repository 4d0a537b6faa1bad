"""What an auditor asks about links."""

from __future__ import annotations

from datetime import UTC, datetime

from hub.store import audit
from hub.store.engine import Store
from hub.store.golden import Golden, add_golden
from hub.store.links import Link, add_links

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_an_audit_finds_live_secondary_records(store: Store) -> None:
    with store.begin() as tx:
        made = [Golden(n, "company", {}, "crm", {}, NOW, NOW, "run") for n in "abcd"]
        add_golden(tx, made)
        found = [
            Link("erp", "parties", "a1", "a"),
            Link("erp", "parties", "a2", "a", is_primary=False),
            # Its primary record is gone.
            Link("erp", "parties", "b1", "b", gone_at=NOW),
            Link("erp", "parties", "b2", "b", is_primary=False),
            # Its primary records are in another system and in another stream only.
            Link("crm", "companies", "c1", "c"),
            Link("erp", "addresses", "c1", "c"),
            Link("erp", "parties", "c2", "c", is_primary=False),
            Link("erp", "parties", "d1", "d", gone_at=NOW),
            Link("erp", "parties", "d2", "d", is_primary=False, gone_at=NOW),
            Link("erp", "parties", "x", None, is_primary=False),
        ]
        add_links(tx, found)
        assert sorted(audit.unwritten(tx)) == [("erp", "parties", "b2"), ("erp", "parties", "c2")]
