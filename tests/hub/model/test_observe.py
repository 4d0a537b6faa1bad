"""The six rules of observing, told one by one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from hub.model.observe import Change, Clash, Ground, Observation, Sighting, observe
from hub.model.policy import EntityPolicy, FieldPolicy
from hub.model.state import LinkState
from mappings.canonical.sales_order import SALES_ORDER
from mappings.canonical.values import Scalar, Values

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASK = EntityPolicy()


def see(
    golden: Values,
    link: LinkState,
    values: Values,
    *,
    policy: EntityPolicy = ASK,
    by: str = "crm",
    conflicts: tuple[str, ...] = (),
) -> Observation:
    ground = Ground(golden, link, policy, conflicts=frozenset(conflicts))
    return observe(ground, values, Sighting(by))


def policy(**words: object) -> EntityPolicy:
    return EntityPolicy({"": FieldPolicy(**words)})  # type: ignore[arg-type]


def in_sync(**values: Scalar) -> LinkState:
    return LinkState(dict(values))


def test_what_was_seen_before_is_no_news() -> None:
    found = see({"name": "B"}, in_sync(name="A"), {"name": "A"})
    assert not found.news
    assert found == Observation(in_sync(name="A"))


def test_back_to_what_it_showed_is_no_change() -> None:
    link = LinkState({"name": "typo"}, {"name": "Acme"}, {"name": "ACME"})
    found = see({"name": "Acme"}, link, {"name": "ACME"})
    assert found.news
    assert found.golden == {}
    assert found.link == LinkState({"name": "ACME"}, {"name": "Acme"})


def test_showing_the_golden_value_is_agreement() -> None:
    found = see({"name": "B"}, in_sync(name="A"), {"name": "B"})
    assert (found.golden, found.changes, found.link) == ({}, [], in_sync(name="B"))


def test_a_value_of_somebody_who_may_not_set_it_is_drift() -> None:
    found = see(
        {"name": "A"}, in_sync(name="A"), {"name": "B"}, policy=policy(owners=frozenset({"erp"}))
    )
    assert found.drift
    assert found.golden == {}
    assert found.link == LinkState({"name": "B"}, {"name": "A"}, {"name": "A"})
    assert found.changes == [Change("name", "B", "A", "superseded", "owner: erp")]


def test_when_only_this_side_changed_it_is_taken() -> None:
    found = see({"name": "A"}, in_sync(name="A"), {"name": "B"})
    assert found.golden == {"name": "B"}
    assert found.link == in_sync(name="B")
    assert found.changes == [Change("name", "A", "B", "taken", "only this side changed")]


def test_both_changed_and_this_side_wins() -> None:
    found = see({"name": "C"}, in_sync(name="A"), {"name": "B"}, policy=policy(both="crm"))
    assert found.golden == {"name": "B"}
    assert [c.decision for c in found.changes] == ["taken", "superseded"]
    assert {c.why for c in found.changes} == {"both: crm"}


def test_both_changed_and_the_other_wins() -> None:
    found = see({"name": "C"}, in_sync(name="A"), {"name": "B"}, policy=policy(both="erp"))
    assert found.golden == {}
    assert found.drift
    assert found.link == LinkState({"name": "B"}, {"name": "A"}, {"name": "A"})
    assert found.changes == [Change("name", "B", "C", "superseded", "both: erp")]


def test_both_changed_and_a_person_is_asked() -> None:
    found = see({"name": "C"}, in_sync(name="A"), {"name": "B"})
    assert found.golden == {}
    assert found.clashes == [Clash("name", "A", "C", "B")]
    assert not found.drift


@pytest.mark.parametrize(
    ("later", "golden"), [(timedelta(1), {"name": "B"}), (timedelta(0), {}), (-timedelta(1), {})]
)
def test_the_latest_wins_only_when_it_is_later(later: timedelta, golden: Values) -> None:
    ground = Ground(
        {"name": "C"}, in_sync(name="A"), policy(both="latest"), changed_at=lambda _: NOON
    )
    assert observe(ground, {"name": "B"}, Sighting("crm", NOON + later)).golden == golden


def test_a_sighting_without_a_time_is_never_the_latest() -> None:
    found = see({"name": "C"}, in_sync(name="A"), {"name": "B"}, policy=policy(both="latest"))
    assert found.golden == {}
    assert found.drift


@pytest.mark.parametrize(
    ("first", "golden", "clashes"), [("crm", {"name": "B"}, 0), ("erp", {}, 0), ("ask", {}, 1)]
)
def test_at_first_sight_its_own_policy_counts(first: str, golden: Values, clashes: int) -> None:
    ground = Ground({"name": "A"}, LinkState(), policy(first=first, both="nobody"))
    found = observe(ground, {"name": "B"}, Sighting("crm", first=True))
    assert (found.golden, len(found.clashes)) == (golden, clashes)


def test_at_first_sight_a_blank_is_filled_and_a_blank_there_is_no_news() -> None:
    ground = Ground({"name": "A", "phone": None}, LinkState(), ASK)
    found = observe(ground, {"name": None, "phone": "1"}, Sighting("crm", first=True))
    assert found.golden == {"phone": "1"}
    assert found.link == in_sync(phone="1")


def test_a_record_the_hub_made_is_not_a_stranger() -> None:
    ground = Ground({"name": "Acme"}, LinkState(), policy(first="crm"))
    found = observe(ground, {"name": "ACME"}, Sighting("crm", first=True, created=True))
    assert found.golden == {}
    assert found.drift


def test_a_blank_never_overwrites() -> None:
    found = see({"name": "A"}, in_sync(name="A"), {"name": None})
    assert found.golden == {}
    assert found.drift
    assert found.link == LinkState({}, {"name": "A"}, {"name": "A"})


def test_a_blank_overwrites_where_policy_says_so() -> None:
    found = see({"name": "A"}, in_sync(name="A"), {"name": None}, policy=policy(blank="write"))
    assert found.golden == {"name": None}
    assert found.link == LinkState()


@pytest.mark.parametrize(("owners", "golden"), [({"erp"}, {"name": "B"}), (set(), {})])
def test_who_may_not_set_a_field_may_still_fill_it(owners: set[str], golden: Values) -> None:
    found = see({}, LinkState(), {"name": "B"}, policy=policy(owners=frozenset(owners)))
    assert found.golden == golden
    assert found.drift is (golden == {})


def test_fields_that_only_the_hub_sets_say_so() -> None:
    found = see({"n": "1"}, in_sync(n="1"), {"n": "2"}, policy=policy(owners=frozenset()))
    assert found.changes[0].why == "owner: the hub"


def test_what_the_owner_blanked_on_purpose_is_not_filled_by_others() -> None:
    rule = policy(owners=frozenset({"erp"}), blank="write")
    found = see({}, in_sync(name="A"), {"name": "B"}, policy=rule)
    assert found.golden == {}
    assert found.drift


def test_blanked_here_and_typed_there_is_a_conflict_where_blanks_count() -> None:
    typed = {"name": "B"}
    assert see({}, in_sync(name="A"), typed, policy=policy(blank="write")).clashes
    assert see({}, in_sync(name="A"), typed).golden == typed


UNIT = EntityPolicy({"address": FieldPolicy(unit="address")})


def address(street: Scalar, city: Scalar) -> Values:
    return {"address.street": street, "address.city": city}


def test_a_unit_is_decided_together() -> None:
    found = see(
        address("S2", "C1"), LinkState(address("S1", "C1")), address("S1", "C3"), policy=UNIT
    )
    assert found.golden == {}
    assert found.clashes == [
        Clash("address.street", "S1", "S2", "S1"),
        Clash("address.city", "C1", "C1", "C3"),
    ]


def test_a_unit_is_taken_whole_and_an_untouched_part_as_it_was_agreed() -> None:
    link = LinkState(address("LONG", "C1"), agreed={"address.street": "Long street"})
    found = see(address("Long street", "C1"), link, address("LONG", "C2"), policy=UNIT)
    assert found.golden == {"address.city": "C2"}
    assert found.link.agreed_at("address.street") == "Long street"
    assert found.link.shown_at("address.street") == "LONG"


def test_a_unit_partly_blanked_is_taken_and_wholly_blanked_is_not() -> None:
    link = LinkState(address("S1", "C1"))
    golden = address("S1", "C1")
    assert see(golden, link, address("S2", None), policy=UNIT).golden == address("S2", None)
    assert see(golden, link, address(None, None), policy=UNIT).drift


def test_a_part_of_a_disputed_unit_that_agrees_now_is_settled() -> None:
    link = LinkState(address("S3", "C3"), address("S1", "C1"), address("S1", "C1"))
    paths = ("address.street", "address.city")
    found = see(address("S2", "C2"), link, address("S2", "C4"), policy=UNIT, conflicts=paths)
    assert found.settled == {"address.street"}
    assert found.clashes == [Clash("address.city", "C1", "C2", "C4")]


def line(key: str, quantity: Scalar, price: Scalar) -> Values:
    return {f"lines[{key}].quantity": quantity, f"lines[{key}].price": price}


def test_an_item_that_is_gone_was_removed() -> None:
    golden = line("A", "1", "9") | line("B", "2", "8")
    found = see(golden, LinkState(dict(golden)), line("A", "1", "9"))
    assert found.golden == line("B", None, None)
    assert found.link == LinkState(line("A", "1", "9"))


def test_a_plain_field_that_is_gone_is_not_a_change() -> None:
    found = see({"name": "A"}, in_sync(name="A"), {})
    assert not found.news


def test_an_item_that_is_new_was_added() -> None:
    found = see({}, in_sync(name="A"), {"name": "A"} | line("B", "2", "8"))
    assert found.golden == line("B", "2", "8")


def test_a_removed_item_takes_along_what_this_side_never_knew() -> None:
    golden = line("A", "1", "9") | {"lines[A].note": "fragile", "lines[AB].note": "other"}
    found = see(golden, LinkState(line("A", "1", "9")), {})
    assert found.golden == line("A", None, None) | {"lines[A].note": None}
    assert found.changes[-1].why == "its item was removed"


def test_a_blank_in_an_item_that_stays_removes_nothing_else() -> None:
    golden = line("A", "1", "9") | {"lines[A].note": "fragile"}
    found = see(golden, LinkState(line("A", "1", "9")), line("A", "1", None))
    assert found.golden == {"lines[A].price": None}


def test_an_item_removed_there_and_changed_here_is_asked_about_as_a_whole() -> None:
    found = see(line("A", "5", "9"), LinkState(line("A", "1", "9")), {})
    assert found.golden == {}
    assert {c.path for c in found.clashes} == set(line("A", None, None))


def test_an_item_removed_here_and_changed_there_is_taken_or_dropped_as_a_whole() -> None:
    gone, link, theirs = line("A", None, None), LinkState(line("A", "1", "9")), line("A", "5", "9")
    assert see(gone, link, theirs, policy=policy(both="crm")).golden == theirs
    assert see(gone, link, theirs, policy=policy(both="erp")).golden == {}


def test_an_item_is_only_removed_by_who_may_set_all_of_it() -> None:
    rule = EntityPolicy({"lines[].price": FieldPolicy(owners=frozenset({"erp"}))})
    golden = line("A", "1", "9")
    found = see(golden, LinkState(dict(golden)), {}, policy=rule)
    assert found.golden == {}
    assert found.drift


def test_a_list_may_be_one_unit_and_lose_its_last_item() -> None:
    rule = EntityPolicy({"lines[]": FieldPolicy(unit="lines")})
    golden = line("A", "1", "9")
    found = see(golden, LinkState(dict(golden)), {}, policy=rule)
    assert found.golden == line("A", None, None)
    assert found.link == LinkState()


STATES = SALES_ORDER.states


@pytest.mark.parametrize(
    ("agreed", "golden", "theirs", "taken", "drift", "asked"),
    [
        ("draft", "draft", "quoted", True, False, False),
        (None, None, "confirmed", True, False, False),
        ("draft", "quoted", "confirmed", True, False, False),
        ("quoted", "quoted", "draft", False, True, False),
        (None, "confirmed", "draft", False, True, False),
        ("quoted", "quoted", None, False, True, False),
        # It jumped in a way the machine does not know, but nobody else moved.
        ("confirmed", "confirmed", "cancelled", True, False, False),
        # Cancelled here, confirmed there: neither is later.
        ("quoted", "cancelled", "confirmed", False, False, True),
        # done and processing follow each other in a circle.
        ("done", "done", "processing", True, False, False),
        ("confirmed", "done", "processing", False, True, False),
    ],
)
def test_states_move_forward(
    agreed: Scalar, golden: Scalar, theirs: Scalar, taken: bool, drift: bool, asked: bool
) -> None:
    ground = Ground(
        {"state": golden},
        LinkState({"state": agreed} if agreed else {}),
        EntityPolicy({"": FieldPolicy(blank="write")}),
        STATES,
    )
    found = observe(ground, {"state": theirs}, Sighting("crm"))
    assert (bool(found.golden), found.drift, bool(found.clashes)) == (taken, drift, asked)


def disputed() -> LinkState:
    return LinkState({"name": "B"}, {"name": "A"}, {"name": "A"})


def again(golden: str, theirs: str) -> Observation:
    return see({"name": golden}, disputed(), {"name": theirs}, conflicts=("name",))


def test_a_later_edit_of_a_disputed_field_updates_theirs() -> None:
    assert again("C", "D").clashes == [Clash("name", "A", "C", "D")]
    assert again("C", "D").settled == set()


def test_a_conflict_ends_when_the_edit_is_taken_back() -> None:
    found = again("C", "A")
    assert (found.settled, found.golden) == ({"name"}, {})


def test_a_conflict_ends_when_the_edit_is_taken_back_in_its_systems_own_spelling() -> None:
    link = LinkState({"name": "typo"}, {"name": "Acme"}, {"name": "ACME"})
    found = see({"name": "Zeta"}, link, {"name": "ACME"}, conflicts=("name",))
    assert (found.settled, found.golden, found.clashes) == ({"name"}, {}, [])
    assert see({"name": "Zeta"}, link, {"name": "ACME"}).clashes == []


def test_a_disputed_field_is_not_taken_even_where_policy_would() -> None:
    by_policy = policy(both="crm")
    found = see({"name": "C"}, disputed(), {"name": "D"}, policy=by_policy, conflicts=("name",))
    assert (found.golden, found.clashes) == ({}, [Clash("name", "A", "C", "D")])
    found = see({"name": "A"}, disputed(), {"name": "D"}, conflicts=("name",))
    assert (found.golden, found.clashes) == ({}, [Clash("name", "A", "A", "D")])


@pytest.mark.parametrize("minutes", [-60, 60])
@pytest.mark.parametrize("both", ["crm", "erp", "ask"])
def test_no_clock_decides_but_where_policy_says_latest(both: str, minutes: int) -> None:
    ground = Ground(
        {"name": "B"},
        in_sync(name="A"),
        policy(both=both),
        changed_at=lambda _path: NOON,
    )
    found = observe(ground, {"name": "C"}, Sighting("crm", NOON + timedelta(minutes=minutes)))
    assert found.golden == ({"name": "C"} if both == "crm" else {})
    assert bool(found.clashes) == (both == "ask")


@pytest.mark.parametrize(("golden", "theirs"), [("C", "C"), ("B", "B")])
def test_a_conflict_ends_when_both_agree(golden: str, theirs: str) -> None:
    found = again(golden, theirs)
    assert found.settled == {"name"}
    assert found.link == in_sync(name=golden)


def test_a_conflict_about_a_field_not_read_this_time_stays() -> None:
    found = see({}, LinkState(), {}, conflicts=("name",))
    assert found.settled == set()


def test_a_new_edit_after_the_others_came_round_is_no_conflict() -> None:
    link = disputed()
    found = see({"name": "B"}, link, {"name": "A"})
    assert found.golden == {"name": "A"}


def test_observing_leaves_the_link_it_was_given_alone() -> None:
    link = in_sync(name="A")
    see({"name": "A"}, link, {"name": "B"})
    assert link == in_sync(name="A")


def test_a_time_is_asked_for_every_path_of_a_unit() -> None:
    times: Mapping[str, datetime] = {"address.city": NOON}
    rule = EntityPolicy({"address": FieldPolicy(unit="address", both="latest")})
    ground = Ground(address("S2", "C2"), LinkState(address("S1", "C1")), rule, changed_at=times.get)
    values = address("S3", "C1")
    assert observe(ground, values, Sighting("crm", NOON)).golden == {}
    late = observe(ground, values, Sighting("crm", NOON + timedelta(1)))
    assert late.golden == values
