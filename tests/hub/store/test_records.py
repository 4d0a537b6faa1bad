"""Golden records, links, fingerprints and references, page by page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from hub.model.state import LinkState
from hub.store.engine import Store
from hub.store.fingerprints import candidates_for, change_fingerprints
from hub.store.golden import (
    Golden,
    add_golden,
    change_golden,
    find_golden,
    golden_by_entity,
    load_golden,
)
from hub.store.links import (
    Link,
    add_links,
    change_links,
    keys_of,
    link_digests,
    links_by_golden,
    links_by_key,
    resolve_keys,
)
from hub.store.references import change_references, referring

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def golden(golden_id: str, entity: str = "company", **values: Any) -> Golden:
    return Golden(golden_id, entity, values, "crm", {}, NOW, NOW, "run1")


def link(key: str, golden_id: str | None, **more: Any) -> Link:
    return Link(
        more.pop("connection", "crm"), more.pop("stream", "companies"), key, golden_id, **more
    )


def test_golden_records_come_back_as_they_were(store: Store) -> None:
    one = golden("g1", name="Jürgen & Söhne", employees=7, active=True)
    one.origins = {"name": ["erp", 5, "run0"]}
    with store.begin() as tx:
        add_golden(tx, [])
        add_golden(tx, [one, golden("g2")])
        found = load_golden(tx, ["g1", "g1", "nobody"], lock=True)
        assert found == {"g1": one}
        assert load_golden(tx, []) == {}


def test_changing_raises_the_revision(store: Store) -> None:
    with store.begin() as tx:
        add_golden(tx, [golden("g1", name="A"), golden("g2", name="B")])
        found = load_golden(tx, ["g1"])["g1"]
        found.values["name"], found.origins = "Z", {"name": ["erp", 1, "r"]}
        change_golden(tx, [found])
        change_golden(tx, [])
        again = load_golden(tx, ["g1", "g2"])
    assert (again["g1"].values, again["g1"].revision) == ({"name": "Z"}, 2)
    assert (again["g2"].values, again["g2"].revision) == ({"name": "B"}, 1)


def test_links_come_back_as_they_were_and_sparse(store: Store) -> None:
    state = LinkState({"name": "ACME"}, {"name": "Acme"}, {})
    one = link("1", "g1", state=state, version="v", modified_at=NOW, digest=b"x" * 16)
    with store.begin() as tx:
        add_links(tx, [one, link("2", None, gone_at=NOW)])
        add_links(tx, [])
        found = links_by_key(tx, "crm", "companies", ["1", "2", "3", "1"])
        assert links_by_key(tx, "crm", "companies", []) == {}
        assert set(found) == {"1", "2"}
        stored = found["1"]
        assert (stored.state, stored.version, stored.digest) == (state, "v", b"x" * 16)
        assert stored.modified_at == NOW
        assert link_digests(tx, "crm", "companies", ["1", "2"]) == {
            "1": b"x" * 16,
            "2": None,
        }
        stored.state, stored.digest = LinkState({"name": "B"}), None
        change_links(tx, [stored])
        change_links(tx, [])
        again = links_by_key(tx, "crm", "companies", ["1"])["1"]
    assert again == stored


def test_a_key_has_one_link(store: Store) -> None:
    with store.begin() as tx:
        add_links(tx, [link("1", "g1")])
    with pytest.raises(IntegrityError), store.begin() as tx:
        add_links(tx, [link("1", "g2")])


def test_a_stream_has_one_primary_per_golden(store: Store) -> None:
    with store.begin() as tx:
        add_links(tx, [link("1", "g1"), link("gone", None), link("gone2", None)])
    with pytest.raises(IntegrityError), store.begin() as tx:
        add_links(tx, [link("2", "g1")])
    with store.begin() as tx:
        add_links(tx, [link("2", "g1", is_primary=False), link("5", "g1", connection="erp")])
        mine = links_by_golden(tx, ["g1", "g9"])
        assert [one.key for one in mine["g1"]] == ["1", "5", "2"]
        only = links_by_golden(tx, ["g1"], connection="erp")
        assert [one.key for one in only["g1"]] == ["5"]
        assert links_by_golden(tx, []) == {}


def test_references_are_resolved_both_ways(store: Store) -> None:
    with store.begin() as tx:
        some = [
            link("1", "g1"),
            link("2", None, gone_at=NOW),
            link("3", "g3", gone_at=NOW),
            link("4", "g1", is_primary=False),
            link("1", "d1", stream="deals"),
        ]
        add_links(tx, some)
        asked = [("companies", "1"), ("companies", "2"), ("companies", "99"), ("deals", "1")]
        assert resolve_keys(tx, "crm", asked) == {
            ("companies", "1"): "g1",
            ("companies", "2"): None,
            ("deals", "1"): "d1",
        }
        wanted = {"g1": "companies", "g3": "companies", "d1": "companies"}
        assert keys_of(tx, "crm", wanted) == {"g1": "1"}
        assert keys_of(tx, "crm", {}) == {}


def test_fingerprints_find_candidates(store: Store) -> None:
    with store.begin() as tx:
        new = [(n, "g1") for n in range(1200)] + [(-(2**62), "g2"), (5, "g2")]
        change_fingerprints(tx, gone=[], new=new)
        change_fingerprints(tx, gone=[(7, "g1")], new=[(5, "g2")])
        where = {"connection": "crm", "stream": "companies"}
        found = candidates_for(tx, [*range(1200), -(2**62), 99_999], **where)
        assert candidates_for(tx, [], **where) == {}
        add_links(tx, [link("1", "g2"), link("2", "g1", gone_at=NOW)])
        others = candidates_for(tx, [5], **where)
    assert others == {5: ["g1"]}  # g2 already has a record there; that of g1 is gone
    assert sorted(found[5]) == ["g1", "g2"]
    assert found[-(2**62)] == ["g2"]
    assert 7 not in found
    assert len(found) == 1200


def test_references_are_replaced_and_reversed(store: Store) -> None:
    with store.begin() as tx:
        change_references(tx, {})
        change_references(
            tx, {"o1": {"company_id": "c1", "deal_id": "d1"}, "o2": {"company_id": "c1"}}
        )
        assert referring(tx, ["c1", "d1"]) == {"c1": ["o1", "o2"], "d1": ["o1"]}
        change_references(tx, {"o1": {"company_id": "c2"}})
        assert referring(tx, ["c1", "c2"], "company_id") == {"c1": ["o2"], "c2": ["o1"]}
        assert referring(tx, ["c1"], "deal_id") == {}


def test_entities_are_listed_in_portions(store: Store) -> None:
    with store.begin() as tx:
        merged, deleted = golden("g2"), golden("g4")
        merged.merged_into, deleted.deleted_at = "g1", NOW
        add_golden(tx, [golden("g3"), golden("g1"), merged, deleted, golden("x", "deal")])
        assert [g.id for g in golden_by_entity(tx, "company", limit=1)] == ["g1"]
        assert [g.id for g in golden_by_entity(tx, "company", after="g1")] == ["g3"]


def test_a_person_finds_records_by_id_key_or_text(store: Store) -> None:
    with store.begin() as tx:
        add_golden(tx, [golden("g1", name="Acme 100% \\ Bau"), golden("g2", name="Müller")])
        add_golden(tx, [golden("g3", "contact", name="Acme")])
        add_links(tx, [link("512", "g2")])
        assert find_golden(tx, "company", "g1") == ["g1"]
        assert find_golden(tx, "company", "512") == ["g2"]
        assert find_golden(tx, "company", "acme") == ["g1"]
        assert find_golden(tx, "company", "100%") == ["g1"]
        assert find_golden(tx, "company", "\\") == ["g1"]
        assert find_golden(tx, "company", "m_ller") == []
        assert find_golden(tx, "company", "Müller") == ["g2"]
