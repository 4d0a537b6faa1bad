"""Statements of every page and batch use an index, however large the tables are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from hub.store import inbox, outbox, quarantine
from hub.store.engine import open_store
from hub.store.links import keys_of, link_digests, links_by_golden, links_by_key

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CALLS = {
    "links of golden records": lambda tx: links_by_golden(tx, ["g"]),
    "links of keys": lambda tx: links_by_key(tx, "crm", "companies", ["1"]),
    "digests": lambda tx: link_digests(tx, "crm", "companies", ["1"]),
    "keys of primary links": lambda tx: keys_of(tx, "crm", {"g": "companies"}),
    "outbox": lambda tx: outbox.due_in(tx, "crm", now=NOW),
    "inbox": lambda tx: inbox.due(tx, "crm", "companies", now=NOW, limit=9),
    "what waits for parents": lambda tx: quarantine.resume_waiting(tx, ["g"], now=NOW),
    "what is enqueued again": lambda tx: outbox.enqueue(tx, [("erp", "company", "g")], now=NOW),
    "records in quarantine": lambda tx: quarantine.matching(tx, "crm", "companies", [7]),
    "what is pending": lambda tx: quarantine.pending(tx, "crm"),
}


@pytest.mark.parametrize("name", CALLS)
def test_hot_statements_use_an_index(tmp_path: Any, name: str) -> None:
    store = open_store(f"sqlite:///{tmp_path / 't.db'}")
    store.create()
    said: list[tuple[str, Any]] = []
    with store.begin() as tx:

        def note(_tx: Any, _cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
            said.append((statement, values))

        event.listen(store.engine, "before_cursor_execute", note)
        CALLS[name](tx)
        event.remove(store.engine, "before_cursor_execute", note)
        asked = [(s, v) for s, v in said if s.startswith(("SELECT", "UPDATE", "DELETE"))]
        plans = [
            row[3]
            for statement, values in asked
            for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    store.close()
    assert plans
    whole = [plan for plan in plans if plan.startswith("SCAN") and "json_each" not in plan]
    assert [plan for plan in whole if "CONSTANT ROW" not in plan] == []
