"""The sparse state of a link is equivalent to three full records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.model.state import LinkState
from mappings.canonical.values import Scalar

scalars = st.sampled_from([None, "A", "B", "", 0, False])
puts = st.lists(st.tuples(st.sampled_from(["name", "phone"]), scalars, scalars, scalars))


@given(puts)
def test_the_last_write_is_remembered(
    history: list[tuple[str, Scalar, Scalar, Scalar]],
) -> None:
    link, dense = LinkState(), {}
    for path, seen, agreed, shown in history:
        link.put(path, seen=seen, agreed=agreed, shown=shown)
        dense[path] = (seen, agreed, shown)
    for path, expected in dense.items():
        assert (link.seen_at(path), link.agreed_at(path), link.shown_at(path)) == expected
    assert None not in link.seen.values()
    for store in (link.agreed, link.shown):
        assert all(value != link.seen_at(path) for path, value in store.items())


def test_a_link_in_sync_needs_only_what_was_seen() -> None:
    link = LinkState({"name": "B"}, {"name": "A"}, {"name": "A"})
    link.put("name", seen="C", agreed="C", shown="C")
    assert link == LinkState({"name": "C"})


def test_in_sync_means_both_are_equal() -> None:
    link = LinkState({"name": "ACME", "phone": "1"}, {"name": "Acme"})
    assert link.in_sync({"name": "Acme", "phone": "1"}, ["name", "phone"])
    assert not link.in_sync({"name": "ACME"}, ["name"])
    assert not LinkState({"name": "B"}, {"name": "A"}, {"name": "A"}).in_sync(
        {"name": "A"}, ["name"]
    )


def test_a_copy_is_independent() -> None:
    link = LinkState({"name": "A"}, {"name": "B"}, {"name": "C"})
    other = link.copy()
    other.put("name", seen="D", agreed="D", shown="D")
    assert link == LinkState({"name": "A"}, {"name": "B"}, {"name": "C"})
