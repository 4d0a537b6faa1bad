"""Revisions 0010 and 0011 keep every row of a store of 0.1.0, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from hub.store import migrate as migrations
from hub.store.engine import Store, open_store
from hub.store.migrate import migrate

ROWS: dict[str, list[dict[str, Any]]] = {
    "links": [
        {"id": 1, "key": "a", "golden_id": "g1", "spare": 0},
        {"id": 2, "key": "b", "golden_id": "g1", "spare": 2},
        {"id": 3, "key": "c", "golden_id": "g1", "spare": -77},
        {"id": 4, "key": "gone", "golden_id": None, "spare": 0},
    ],
    "letters": [
        {"id": 5, "kind": "pull", "key": "odd", "state": "buried", "error": "LensError"},
        {"id": 6, "kind": "pull", "key": "child", "state": "waiting", "waits_for": "parent"},
        {"id": 7, "kind": "flow", "key": "g9", "state": "buried", "error": "ChainError"},
        {"id": 8, "kind": "pull", "key": "a", "state": "buried", "error": "LensError"},
    ],
    "aside": [
        {"key": key, "value": value}
        for key, value in (("odd", 11), ("odd", -12), ("a", 13), ("asked", 14), ("lost", 15))
    ],
    "outbox": [
        {"id": 10, "golden_id": "g1", "state": "due"},
        {
            "id": 11,
            "golden_id": "g2",
            "state": "sent",
            "sent": '{"name":"A"}',
            "reason": "no answer",
        },
        {"id": 12, "golden_id": "g3", "state": "waiting", "reason": "deal has no company yet"},
        {
            "id": 13,
            "golden_id": "g4",
            "state": "buried",
            "reason": "refused",
            "error": "RecordRejectedError",
        },
        {"id": 14, "golden_id": "g5", "state": "waiting", "reason": "is absent", "waits_for": "g3"},
    ],
    "reviews": [
        {"id": 20, "key": "asked", "decision": None},
        {"id": 21, "key": "decided", "decision": "new"},
    ],
    "work": [{"name": "drain crm", "failures": 2}, {"name": "pull crm companies"}],
    "runs": [
        {"id": "r1", "kind": "drain", "state": "red", "buried": 3},
        {"id": "r2", "kind": "pull", "state": "done", "buried": 0},
    ],
    "accounts": [{"connection": "crm", "used": 7}],
    "touched": [{"key": "a", "what": "gone"}],
    "connections": [{"connection": "crm", "heard_at": 9}],
    "merges": [
        {
            "id": 1,
            "before": json.dumps({"spares": {"1": 0, "2": 2, "3": -77}, "gained": {"n": "ä"}}),
        }
    ],
}
USUAL: dict[str, dict[str, Any]] = {
    "links": {"connection": "crm", "stream": "companies", "seen": "{}"},
    "letters": {
        "source": "crm",
        "stream": "companies",
        "reason": "why",
        "error": None,
        "waits_for": None,
        "attempts": 3,
        "due_at": 50,
        "first_at": 30,
        "last_at": 40,
    },
    "aside": {"connection": "crm", "stream": "companies"},
    "outbox": {
        "connection": "erp",
        "entity": "company",
        "wish": 2,
        "due_at": 60,
        "attempts": 1,
        "first_at": 35,
        "reason": None,
        "error": None,
        "waits_for": None,
        "sent": None,
    },
    "reviews": {
        "connection": "crm",
        "stream": "companies",
        "entity": "company",
        "title": "A",
        "candidates": "[]",
        "reason": "two fit",
        "opened_at": 25,
    },
    "work": {"failures": 0},
    "runs": {
        "connection": "crm",
        "stream": "companies",
        "started_at": 1,
        "seen": 3,
        "same": 0,
        "changed": 0,
        "written": 0,
    },
    "accounts": {"blocks": "[]", "day": "2026-11-30"},
    "touched": {"connection": "crm", "stream": "companies", "touched_at": 8},
    "connections": {},
    "merges": {"entity": "company", "loser": "g7", "winner": "g1", "why": "x", "merged_at": 1},
}


def config_on(tx: Any) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations._FOLDER))
    config.attributes["connection"] = tx
    return config


@pytest.fixture
def migrated(database_url: str) -> Iterator[Store]:
    """A store of revision 0009 with rows of every kind, migrated."""
    store = open_store(database_url)
    with store.begin(durable=True) as tx:
        command.upgrade(config_on(tx), "0009")
        for table, rows in ROWS.items():
            for row in rows:
                full = {**USUAL[table], **row}
                names, marks = ", ".join(full), ", ".join(f":{name}" for name in full)
                tx.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), full)
    migrate(store)
    yield store
    store.close()


def asked(store: Store, query: str) -> list[tuple[Any, ...]]:
    with store.read() as tx:
        return [tuple(row) for row in tx.execute(text(query))]


def test_rows_set_aside_are_quarantined(migrated: Store) -> None:
    columns = "kind, key, state, cause, reason, attempts, next_attempt_at, since, outbox_id"
    assert asked(migrated, f"SELECT {columns} FROM quarantine ORDER BY id") == [
        ("pull", "odd", "held", "unreadable", "why", 3, None, 30, None),
        ("pull", "child", "waiting", "missing_parent", "why", 3, 50, 30, None),
        ("flow", "g9", "held", "oscillation", "why", 3, None, 30, None),
        ("pull", "a", "held", "unreadable", "why", 3, None, 30, None),
        ("push", "g3", "waiting", "missing_field", "deal has no company yet", 1, None, 35, 12),
        ("push", "g4", "held", "refused", "refused", 1, None, 35, 13),
        ("push", "g5", "waiting", "missing_parent", "is absent", 1, None, 35, 14),
        ("review", "asked", "held", "under_review", "two fit", 0, None, 25, None),
    ]
    kept = "SELECT key, waits_for FROM quarantine WHERE waits_for IS NOT NULL ORDER BY id"
    assert asked(migrated, kept) == [("child", "parent"), ("g5", "g3")]


def test_prints_stay_with_unlinked_records(migrated: Store) -> None:
    query = (
        "SELECT key, value FROM quarantine_prints"
        " JOIN quarantine ON quarantine.id = entry_id ORDER BY key, value"
    )
    assert asked(migrated, query) == [("asked", 14), ("odd", -12), ("odd", 11)]


def test_the_outbox_keeps_all_entries(migrated: Store) -> None:
    columns = "id, state, sent_values, due_at, generation"
    assert asked(migrated, f"SELECT {columns} FROM outbox ORDER BY id") == [
        (10, "due", None, 60, 2),
        (11, "in_flight", '{"name":"A"}', 60, 2),
        (12, "due", None, 60, 2),
        (13, "held", None, 60, 2),
        (14, "due", None, 60, 2),
    ]


def test_one_link_is_primary_and_no_second_one(migrated: Store) -> None:
    query = "SELECT id, CASE WHEN is_primary THEN 1 ELSE 0 END FROM links ORDER BY id"
    assert asked(migrated, query) == [(1, 1), (2, 0), (3, 0), (4, 1)]
    (before,) = asked(migrated, "SELECT before FROM merges")
    assert json.loads(before[0]) == {"gained": {"n": "ä"}, "primary": [1]}


def test_entries_are_deleted_with_their_record(migrated: Store) -> None:
    with migrated.begin() as tx:
        tx.execute(text("DELETE FROM outbox WHERE id = 13"))
        tx.execute(text("DELETE FROM quarantine WHERE key = 'odd'"))
    assert asked(migrated, "SELECT key FROM quarantine WHERE key IN ('g4', 'odd')") == []
    assert asked(migrated, "SELECT value FROM quarantine_prints") == [(14,)]


def test_renamed_columns_keep_their_values(migrated: Store) -> None:
    queries = {
        "SELECT name, failures FROM work ORDER BY name": [
            ("inbox crm", 2),
            ("pull crm companies", 0),
        ],
        "SELECT kind, state, quarantined FROM runs ORDER BY id": [
            ("inbox", "inconsistent", 3),
            ("pull", "done", 0),
        ],
        "SELECT connection, used FROM rate_limits": [("crm", 7)],
        "SELECT key, kind, changed_at FROM recent_changes": [("a", "gone", 8)],
        "SELECT notified_at FROM connections": [(9,)],
    }
    assert {query: asked(migrated, query) for query in queries} == queries


def test_it_can_be_taken_back(migrated: Store) -> None:
    with migrated.begin(durable=True) as tx:
        command.downgrade(config_on(tx), "0009")
    columns = "kind, key, state, reason, error, waits_for, attempts, first_at"
    old = [
        tuple({**USUAL["letters"], **row}[name] for name in columns.split(", "))
        for row in ROWS["letters"]
    ]
    assert asked(migrated, f"SELECT {columns} FROM letters ORDER BY id") == old
    columns = "id, golden_id, state, reason, error, waits_for, sent"
    states = asked(migrated, f"SELECT {columns} FROM outbox ORDER BY id")
    assert states == [
        tuple(
            {**USUAL["outbox"], **row}[name] if name != "reason" or row["state"] != "sent" else None
            for name in columns.split(", ")
        )
        for row in ROWS["outbox"]
    ]
    assert asked(migrated, "SELECT id, spare FROM links ORDER BY id") == [
        (1, 0),
        (2, 2),
        (3, 3),
        (4, 0),
    ]
    for table in ("work", "runs", "accounts", "touched", "connections"):
        for row in ROWS[table]:
            found = asked(migrated, f"SELECT {', '.join(row)} FROM {table}")
            assert tuple(row.values()) in found
