"""The floor: reads all companies with httpx and puts their raw JSON into SQLite, page by page.

`python tests/bench/floor.py URL DATABASE [PROPERTIES]`. No connector, no mapping, no decision.
"""

from __future__ import annotations

import json
import sqlite3
import sys

import httpx

_UPSERT = (
    "INSERT INTO companies (id, body) VALUES (?, ?)"
    " ON CONFLICT (id) DO UPDATE SET body = excluded.body"
)


def read(url: str, database: str, properties: str = "") -> int:
    """Returns how many companies were read; one transaction a page."""
    store = sqlite3.connect(database, isolation_level=None)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=NORMAL")
    store.execute("CREATE TABLE IF NOT EXISTS companies (id TEXT PRIMARY KEY, body TEXT NOT NULL)")
    params = {"limit": "100", **({"properties": properties} if properties else {})}
    count = 0
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer twin-token"}) as client:
        while True:
            page = client.get("/crm/v3/objects/companies", params=params).raise_for_status().json()
            store.execute("BEGIN IMMEDIATE")
            store.executemany(_UPSERT, [(one["id"], json.dumps(one)) for one in page["results"]])
            store.execute("COMMIT")
            count += len(page["results"])
            after = page.get("paging", {}).get("next", {}).get("after")
            if after is None:
                store.close()
                return count
            params["after"] = after


if __name__ == "__main__":
    print(read(*sys.argv[1:]))
