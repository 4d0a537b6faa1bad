"""The six rules of observing, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from hub.model.observe import Baseline, Change, FieldConflict, Observation, RecordContext, observe
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
    baseline = Baseline(golden, link, policy, conflicts=frozenset(conflicts))
    return observe(baseline, values, RecordContext(by))


def policy(**words: object) -> EntityPolicy:
    return EntityPolicy({"": FieldPolicy(**words)})  # type: ignore[arg-type]


def in_sync(**values: Scalar) -> LinkState:
    return LinkState(dict(values))


def test_a_value_seen_before_is_no_change() -> None:
    found = see({"name": "B"}, in_sync(name="A"), {"name": "A"})
    assert not found.news
    assert found == Observation(in_sync(name="A"))


def test_back_to_the_shown_value_is_no_change() -> None:
    link = LinkState({"name": "typo"}, {"name": "Acme"}, {"name": "ACME"})
    found = see({"name": "Acme"}, link, {"name": "ACME"})
    assert found.news
    assert found.golden == {}
    assert found.link == LinkState({"name": "ACME"}, {"name": "Acme"})


def test_showing_the_golden_value_is_agreement() -> None:
    found = see({"name": "B"}, in_sync(name="A"), {"name": "B"})
    assert (found.golden, found.changes, found.link) == ({}, [], in_sync(name="B"))


def test_a_value_without_the_right_is_drift() -> None:
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
    found = see({"name": "C"}, in_sync(name="A"), {"name": "B"}, policy=policy(on_conflict="crm"))
    assert found.golden == {"name": "B"}
    assert [c.decision for c in found.changes] == ["taken", "superseded"]
    assert {c.why for c in found.changes} == {"on_conflict: crm"}


def test_both_changed_and_the_other_wins() -> None:
    found = see({"name": "C"}, in_sync(name="A"), {"name": "B"}, policy=policy(on_conflict="erp"))
    assert found.golden == {}
    assert found.drift
    assert found.link == LinkState({"name": "B"}, {"name": "A"}, {"name": "A"})
    assert found.changes == [Change("name", "B", "C", "superseded", "on_conflict: erp")]


def test_both_changed_and_a_person_is_asked() -> None:
    found = see({"name": "C"}, in_sync(name="A"), {"name": "B"})
    assert found.golden == {}
    assert found.conflicts == [FieldConflict("name", "A", "C", "B")]
    assert not found.drift


@pytest.mark.parametrize(
    ("later", "golden"), [(timedelta(1), {"name": "B"}), (timedelta(0), {}), (-timedelta(1), {})]
)
def test_the_latest_wins_only_when_it_is_later(later: timedelta, golden: Values) -> None:
    baseline = Baseline(
        {"name": "C"}, in_sync(name="A"), policy(on_conflict="latest"), changed_at=lambda _: NOON
    )
    assert observe(baseline, {"name": "B"}, RecordContext("crm", NOON + later)).golden == golden


def test_without_a_time_it_is_never_the_latest() -> None:
    found = see(
        {"name": "C"}, in_sync(name="A"), {"name": "B"}, policy=policy(on_conflict="latest")
    )
    assert found.golden == {}
    assert found.drift


@pytest.mark.parametrize(
    ("first", "golden", "conflicts_found"),
    [("crm", {"name": "B"}, 0), ("erp", {}, 0), ("ask", {}, 1)],
)
def test_at_first_sight_its_own_policy_counts(
    first: str, golden: Values, conflicts_found: int
) -> None:
    baseline = Baseline(
        {"name": "A"}, LinkState(), policy(on_first_match=first, on_conflict="nobody")
    )
    found = observe(baseline, {"name": "B"}, RecordContext("crm", is_first=True))
    assert (found.golden, len(found.conflicts)) == (golden, conflicts_found)


def test_first_match_fills_blanks_both_ways() -> None:
    baseline = Baseline({"name": "A", "phone": None}, LinkState(), ASK)
    found = observe(baseline, {"name": None, "phone": "1"}, RecordContext("crm", is_first=True))
    assert found.golden == {"phone": "1"}
    assert found.link == in_sync(phone="1")


def test_a_record_the_hub_made_is_recognised() -> None:
    baseline = Baseline({"name": "Acme"}, LinkState(), policy(on_first_match="crm"))
    found = observe(baseline, {"name": "ACME"}, RecordContext("crm", is_first=True, created=True))
    assert found.golden == {}
    assert found.drift


def test_a_blank_never_overwrites() -> None:
    found = see({"name": "A"}, in_sync(name="A"), {"name": None})
    assert found.golden == {}
    assert found.drift
    assert found.link == LinkState({}, {"name": "A"}, {"name": "A"})


def test_a_blank_overwrites_by_policy() -> None:
    found = see({"name": "A"}, in_sync(name="A"), {"name": None}, policy=policy(when_blank="write"))
    assert found.golden == {"name": None}
    assert found.link == LinkState()


@pytest.mark.parametrize(("owners", "golden"), [({"erp"}, {"name": "B"}), (set(), {})])
def test_a_blank_may_be_filled_without_the_right(owners: set[str], golden: Values) -> None:
    found = see({}, LinkState(), {"name": "B"}, policy=policy(owners=frozenset(owners)))
    assert found.golden == golden
    assert found.drift is (golden == {})


def test_fields_that_only_the_hub_sets_say_so() -> None:
    found = see({"n": "1"}, in_sync(n="1"), {"n": "2"}, policy=policy(owners=frozenset()))
    assert found.changes[0].why == "owner: the hub"


def test_the_owners_blank_is_not_filled() -> None:
    rule = policy(owners=frozenset({"erp"}), when_blank="write")
    found = see({}, in_sync(name="A"), {"name": "B"}, policy=rule)
    assert found.golden == {}
    assert found.drift


def test_blank_against_edit_is_a_conflict() -> None:
    typed = {"name": "B"}
    assert see({}, in_sync(name="A"), typed, policy=policy(when_blank="write")).conflicts
    assert see({}, in_sync(name="A"), typed).golden == typed


UNIT = EntityPolicy({"address": FieldPolicy(unit="address")})


def address(street: Scalar, city: Scalar) -> Values:
    return {"address.street": street, "address.city": city}


def test_a_unit_is_decided_together() -> None:
    found = see(
        address("S2", "C1"), LinkState(address("S1", "C1")), address("S1", "C3"), policy=UNIT
    )
    assert found.golden == {}
    assert found.conflicts == [
        FieldConflict("address.street", "S1", "S2", "S1"),
        FieldConflict("address.city", "C1", "C1", "C3"),
    ]


def test_a_unit_is_taken_whole() -> None:
    link = LinkState(address("LONG", "C1"), agreed={"address.street": "Long street"})
    found = see(address("Long street", "C1"), link, address("LONG", "C2"), policy=UNIT)
    assert found.golden == {"address.city": "C2"}
    assert found.link.agreed_at("address.street") == "Long street"
    assert found.link.shown_at("address.street") == "LONG"


def test_a_unit_partly_blanked_is_taken() -> None:
    link = LinkState(address("S1", "C1"))
    golden = address("S1", "C1")
    assert see(golden, link, address("S2", None), policy=UNIT).golden == address("S2", None)
    assert see(golden, link, address(None, None), policy=UNIT).drift


def test_an_agreeing_part_of_a_unit_is_settled() -> None:
    link = LinkState(address("S3", "C3"), address("S1", "C1"), address("S1", "C1"))
    paths = ("address.street", "address.city")
    found = see(address("S2", "C2"), link, address("S2", "C4"), policy=UNIT, conflicts=paths)
    assert found.settled == {"address.street"}
    assert found.conflicts == [FieldConflict("address.city", "C1", "C2", "C4")]


def line(key: str, quantity: Scalar, price: Scalar) -> Values:
    return {f"lines[{key}].quantity": quantity, f"lines[{key}].price": price}


def test_an_item_that_is_gone_was_removed() -> None:
    golden = line("A", "1", "9") | line("B", "2", "8")
    found = see(golden, LinkState(dict(golden)), line("A", "1", "9"))
    assert found.golden == line("B", None, None)
    assert found.link == LinkState(line("A", "1", "9"))


def test_a_missing_plain_field_is_not_a_change() -> None:
    found = see({"name": "A"}, in_sync(name="A"), {})
    assert not found.news


def test_an_item_that_is_new_was_added() -> None:
    found = see({}, in_sync(name="A"), {"name": "A"} | line("B", "2", "8"))
    assert found.golden == line("B", "2", "8")


def test_a_removed_item_takes_unknown_fields() -> None:
    golden = line("A", "1", "9") | {"lines[A].note": "fragile", "lines[AB].note": "other"}
    found = see(golden, LinkState(line("A", "1", "9")), {})
    assert found.golden == line("A", None, None) | {"lines[A].note": None}
    assert found.changes[-1].why == "its item was removed"


def test_a_blank_in_an_item_removes_nothing_else() -> None:
    golden = line("A", "1", "9") | {"lines[A].note": "fragile"}
    found = see(golden, LinkState(line("A", "1", "9")), line("A", "1", None))
    assert found.golden == {"lines[A].price": None}


def test_remote_removal_against_edit_is_asked() -> None:
    found = see(line("A", "5", "9"), LinkState(line("A", "1", "9")), {})
    assert found.golden == {}
    assert {c.path for c in found.conflicts} == set(line("A", None, None))


def test_local_removal_against_edit_is_whole() -> None:
    gone, link, theirs = line("A", None, None), LinkState(line("A", "1", "9")), line("A", "5", "9")
    assert see(gone, link, theirs, policy=policy(on_conflict="crm")).golden == theirs
    assert see(gone, link, theirs, policy=policy(on_conflict="erp")).golden == {}


def test_removing_an_item_needs_all_its_rights() -> None:
    rule = EntityPolicy({"lines[].price": FieldPolicy(owners=frozenset({"erp"}))})
    golden = line("A", "1", "9")
    found = see(golden, LinkState(dict(golden)), {}, policy=rule)
    assert found.golden == {}
    assert found.drift


def test_a_list_unit_may_lose_its_last_item() -> None:
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
        # It made a transition that the state machine lacks, but no other system moved.
        ("confirmed", "confirmed", "cancelled", True, False, False),
        # Cancelled in one system, confirmed in the other: neither is later.
        ("quoted", "cancelled", "confirmed", False, False, True),
        # done and processing follow each other in a cycle.
        ("done", "done", "processing", True, False, False),
        ("confirmed", "done", "processing", False, True, False),
    ],
)
def test_states_move_forward(
    agreed: Scalar, golden: Scalar, theirs: Scalar, taken: bool, drift: bool, asked: bool
) -> None:
    baseline = Baseline(
        {"state": golden},
        LinkState({"state": agreed} if agreed else {}),
        EntityPolicy({"": FieldPolicy(when_blank="write")}),
        STATES,
    )
    found = observe(baseline, {"state": theirs}, RecordContext("crm"))
    assert (bool(found.golden), found.drift, bool(found.conflicts)) == (taken, drift, asked)


def disputed() -> LinkState:
    return LinkState({"name": "B"}, {"name": "A"}, {"name": "A"})


def again(golden: str, theirs: str) -> Observation:
    return see({"name": golden}, disputed(), {"name": theirs}, conflicts=("name",))


def test_a_later_edit_updates_the_conflict() -> None:
    assert again("C", "D").conflicts == [FieldConflict("name", "A", "C", "D")]
    assert again("C", "D").settled == set()


def test_a_reverted_edit_ends_the_conflict() -> None:
    found = again("C", "A")
    assert (found.settled, found.golden) == ({"name"}, {})


def test_a_respelled_revert_ends_the_conflict() -> None:
    link = LinkState({"name": "typo"}, {"name": "Acme"}, {"name": "ACME"})
    found = see({"name": "Zeta"}, link, {"name": "ACME"}, conflicts=("name",))
    assert (found.settled, found.golden, found.conflicts) == ({"name"}, {}, [])
    assert see({"name": "Zeta"}, link, {"name": "ACME"}).conflicts == []


def test_a_conflict_overrides_the_policy() -> None:
    by_policy = policy(on_conflict="crm")
    found = see({"name": "C"}, disputed(), {"name": "D"}, policy=by_policy, conflicts=("name",))
    assert (found.golden, found.conflicts) == ({}, [FieldConflict("name", "A", "C", "D")])
    found = see({"name": "A"}, disputed(), {"name": "D"}, conflicts=("name",))
    assert (found.golden, found.conflicts) == ({}, [FieldConflict("name", "A", "A", "D")])


@pytest.mark.parametrize("minutes", [-60, 60])
@pytest.mark.parametrize("both", ["crm", "erp", "ask"])
def test_clocks_only_decide_for_latest(both: str, minutes: int) -> None:
    baseline = Baseline(
        {"name": "B"},
        in_sync(name="A"),
        policy(on_conflict=both),
        changed_at=lambda _path: NOON,
    )
    found = observe(
        baseline, {"name": "C"}, RecordContext("crm", NOON + timedelta(minutes=minutes))
    )
    assert found.golden == ({"name": "C"} if both == "crm" else {})
    assert bool(found.conflicts) == (both == "ask")


@pytest.mark.parametrize(("golden", "theirs"), [("C", "C"), ("B", "B")])
def test_a_conflict_ends_when_both_agree(golden: str, theirs: str) -> None:
    found = again(golden, theirs)
    assert found.settled == {"name"}
    assert found.link == in_sync(name=golden)


def test_a_conflict_of_an_unread_field_stays() -> None:
    found = see({}, LinkState(), {}, conflicts=("name",))
    assert found.settled == set()


def test_an_edit_after_agreement_is_no_conflict() -> None:
    link = disputed()
    found = see({"name": "B"}, link, {"name": "A"})
    assert found.golden == {"name": "A"}


def test_observing_does_not_change_its_argument() -> None:
    link = in_sync(name="A")
    see({"name": "A"}, link, {"name": "B"})
    assert link == in_sync(name="A")


def test_a_time_is_asked_for_every_path_of_a_unit() -> None:
    times: Mapping[str, datetime] = {"address.city": NOON}
    rule = EntityPolicy({"address": FieldPolicy(unit="address", on_conflict="latest")})
    baseline = Baseline(
        address("S2", "C2"), LinkState(address("S1", "C1")), rule, changed_at=times.get
    )
    values = address("S3", "C1")
    assert observe(baseline, values, RecordContext("crm", NOON)).golden == {}
    late = observe(baseline, values, RecordContext("crm", NOON + timedelta(1)))
    assert late.golden == values
