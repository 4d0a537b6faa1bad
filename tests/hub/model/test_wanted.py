"""What is written to a connection, what is not, and what agreeing means."""

from __future__ import annotations

import pytest

from hub.model.policy import EntityPolicy, FieldPolicy
from hub.model.state import LinkState
from hub.model.wanted import agree, forward, route_actions, settle, wanted
from mappings.canonical.sales_order import SALES_ORDER
from mappings.canonical.values import Scalar, Values

STATES = SALES_ORDER.states
assert STATES is not None
UNIT = EntityPolicy({"address": FieldPolicy(unit="address")})
WRITE = EntityPolicy({"": FieldPolicy(when_blank="write")})


def want(
    golden: Values,
    link: LinkState,
    policy: EntityPolicy | None = None,
    *,
    conflicts: tuple[str, ...] = (),
) -> Values:
    disputed = frozenset(conflicts)
    return wanted(golden, link, policy or EntityPolicy(), writable=bool, conflicts=disputed)


def test_without_a_link_everything_is_wanted() -> None:
    assert want({"name": "A", "phone": None}, LinkState()) == {"name": "A"}


def test_a_blank_is_wanted_only_when_decided() -> None:
    link = LinkState({"phone": "1"})
    assert want({}, link) == {}
    assert want({"phone": None}, link) == {"phone": None}
    assert want({"phone": None}, link, conflicts=("phone",)) == {}
    assert want({"phone": None}, LinkState({}, {}, {})) == {}


def test_nothing_is_wanted_of_a_link_in_sync() -> None:
    assert want({"name": "Acme"}, LinkState({"name": "ACME"}, {"name": "Acme"})) == {}


def test_a_changed_golden_value_is_wanted() -> None:
    link = LinkState({"name": "ACME"}, {"name": "Acme"})
    assert want({"name": "Acme SE"}, link) == {"name": "Acme SE"}


def test_drift_is_repaired() -> None:
    link = LinkState({"name": "X"}, {"name": "Acme"}, {"name": "ACME"})
    assert want({"name": "Acme"}, link) == {"name": "Acme"}


def test_a_blanked_field_is_filled_again() -> None:
    link = LinkState({}, {"name": "Acme"}, {"name": "ACME"})
    assert want({"name": "Acme"}, link) == {"name": "Acme"}


def test_only_what_can_be_written_is_wanted() -> None:
    def writable(path: str) -> bool:
        return path != "number"

    found = wanted({"number": "7", "name": "A"}, LinkState(), WRITE, writable=writable)
    assert found == {"name": "A"}


def test_a_blank_is_written_only_by_policy() -> None:
    link = LinkState({"name": "A"})
    assert want({}, link) == {}
    assert want({}, link, WRITE) == {"name": None}
    # Agreed but never seen: it is a write-only field that shows "A".
    assert want({}, LinkState({}, {"name": "A"}), WRITE) == {"name": None}
    assert want({}, LinkState({}, {"name": "A"}, {"name": "A"}), WRITE) == {"name": None}
    assert want({}, LinkState(), WRITE) == {}


def test_a_blank_in_a_filled_unit_is_written() -> None:
    link = LinkState({"address.street": "S1", "address.city": "C1"})
    golden: Values = {"address.street": "S2", "address.city": None, "name": "A"}
    assert want(golden, link, UNIT) == golden
    assert want({"name": "A"}, link, UNIT) == {"name": "A"}


def test_a_conflict_holds_back_its_unit() -> None:
    link = LinkState({"address.street": "S1", "address.city": "C1", "name": "A"})
    golden: Values = {"address.street": "S2", "address.city": "C2", "name": "B"}
    assert want(golden, link, UNIT, conflicts=("address.city",)) == {"name": "B"}
    apart = want(golden, link, conflicts=("address.city",))
    assert apart == {"address.street": "S2", "name": "B"}


def line(quantity: Scalar, price: Scalar) -> Values:
    return {"lines[A].quantity": quantity, "lines[A].price": price}


def test_a_removed_item_is_wanted_blank() -> None:
    assert want(line(None, None), LinkState(line("1", "9"))) == line(None, None)


@pytest.mark.parametrize(
    ("golden", "link", "expected"),
    [
        # Gone in one system, in conflict in the other: never half an order line.
        (line(None, None), LinkState(line("1", "9")), {}),
        (line("1", "9"), LinkState({}, line("1", "9"), line("1", "9")), {}),
        (line("2", "8"), LinkState(line("1", "9")), {"lines[A].price": "8"}),
    ],
)
def test_a_missing_item_in_conflict_waits_whole(
    golden: Values, link: LinkState, expected: Values
) -> None:
    assert want(golden, link, conflicts=("lines[A].quantity",)) == expected


def test_agreement_needs_the_golden_value_shown() -> None:
    link = LinkState({"a": "1", "b": "2"}, {"a": "0", "b": "0"}, {"a": "0", "b": "0"})
    assert agree({"a": "1", "b": "3"}, link) == LinkState(
        {"a": "1", "b": "2"}, {"b": "0"}, {"b": "0"}
    )


def test_agreeing_without_news_returns_the_link() -> None:
    link = LinkState({"a": "1"}, {"a": "0"})
    assert agree({"a": "0"}, link) is link


def test_two_blanks_agree() -> None:
    assert agree({}, LinkState({}, {"a": "1"}, {"a": "1"})) == LinkState()


def test_a_write_remembers_the_systems_spelling() -> None:
    link = LinkState({"name": "OLD", "phone": "1"}, {"name": "Old"})
    after = settle(link, {"name": "Acme Company"}, {"name": "ACME COMP", "phone": "2"})
    assert after == LinkState({"name": "ACME COMP", "phone": "1"}, {"name": "Acme Company"})
    assert link.seen["name"] == "OLD"


def test_an_ignored_write_is_not_repeated_forever() -> None:
    after = settle(LinkState({"name": "A"}), {"name": "B"}, {"name": "A"})
    assert want({"name": "B"}, after) == {}


def test_a_written_blank_keeps_nothing() -> None:
    assert settle(LinkState({"name": "A"}), {"name": None}, {}) == LinkState()


ACTS = {"quoted": "quote", "confirmed": "confirm", "processing": "process"}


@pytest.mark.parametrize(
    ("seen", "goal", "acts"),
    [
        ("draft", "confirmed", ("quote", "confirm")),
        (None, "quoted", ()),
        ("quoted", "quoted", ()),
        ("confirmed", None, ()),
        ("confirmed", "draft", ()),
        ("processing", "done", ()),
        ("elsewhere", "done", ()),
    ],
)
def test_the_way_to_a_state_is_made_of_actions(
    seen: Scalar, goal: Scalar, acts: tuple[str, ...]
) -> None:
    assert route_actions(STATES, seen, goal, ACTS) == acts


def test_a_new_document_starts_at_the_first_state() -> None:
    acts = {"draft": "begin", **ACTS}
    assert route_actions(STATES, None, "quoted", acts) == ("begin", "quote")


@pytest.mark.parametrize(
    ("path", "old", "new", "may"),
    [
        ("state", "draft", "confirmed", True),
        ("state", "confirmed", "confirmed", True),
        ("state", "confirmed", "draft", False),
        ("state", "cancelled", "done", False),
        ("state", None, "done", True),
        ("number", "2", "1", True),
    ],
)
def test_a_derived_state_never_moves_back(path: str, old: Scalar, new: Scalar, may: bool) -> None:
    assert forward(STATES, path, old, new) is may


def test_without_states_everything_may_change() -> None:
    assert forward(None, "state", "confirmed", "draft")


def test_a_write_only_field_is_blanked_once() -> None:
    figures = EntityPolicy({"figures": FieldPolicy(owners=frozenset(), when_blank="write")})
    link = settle(LinkState(), {"figures.last_order": "SO-1"}, {})
    assert wanted({}, link, figures, writable=lambda _: True) == {"figures.last_order": None}
    after = settle(link, {"figures.last_order": None}, {})
    assert wanted({}, after, figures, writable=lambda _: True) == {}
    assert wanted({}, link, EntityPolicy(), writable=lambda _: True) == {}
