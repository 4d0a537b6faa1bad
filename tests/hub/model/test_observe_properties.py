"""Laws of observing, whatever the values: against a second, naive implementation of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.model.observe import Ground, Observation, Sighting, observe
from hub.model.policy import EntityPolicy, FieldPolicy
from hub.model.state import LinkState
from hub.model.want import agree, settle, wanted
from mappings.canonical.values import Scalar, Values

PATHS = ("name", "phone", "address.street", "address.city")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

scalars = st.sampled_from([None, "A", "B", "C", "AA"])
records = st.fixed_dictionaries(dict.fromkeys(PATHS, scalars))
field_policies = st.builds(
    FieldPolicy,
    owners=st.sampled_from([None, None, frozenset(), frozenset({"crm"}), frozenset({"erp"})]),
    both=st.sampled_from(["ask", "latest", "crm", "erp"]),
    first=st.sampled_from(["ask", "latest", "crm", "erp"]),
    blank=st.sampled_from(["keep", "write"]),
)
united = st.builds(
    FieldPolicy,
    both=st.sampled_from(["ask", "crm", "erp"]),
    blank=st.sampled_from(["keep", "write"]),
    unit=st.just("address"),
)
apart = st.fixed_dictionaries({"": field_policies, "phone": field_policies})
policies = apart | st.fixed_dictionaries({"": field_policies, "address": united})
sightings = st.builds(
    Sighting,
    connection=st.just("crm"),
    modified_at=st.sampled_from([None, NOON, NOON + timedelta(1)]),
    first=st.booleans(),
)


@st.composite
def links(draw: st.DrawFn) -> LinkState:
    link, kept = LinkState(), [draw(records) for _ in range(3)]
    for path in PATHS:
        seen, agreed, shown = (record[path] for record in kept)
        if draw(st.booleans()):
            agreed = shown = seen
        link.put(path, seen=seen, agreed=agreed, shown=shown)
    return link


@st.composite
def grounds(draw: st.DrawFn, rules: st.SearchStrategy[dict[str, FieldPolicy]]) -> Ground:
    golden = draw(records)
    return Ground(
        golden,
        agree(golden, draw(links())),
        EntityPolicy(draw(rules)),
        conflicts=draw(st.frozensets(st.sampled_from(PATHS), max_size=1)),
        changed_at=lambda _: NOON,
    )


def after(ground: Ground, found: Observation) -> Ground:
    """The ground on which the next sighting is judged."""
    disputed = (ground.conflicts - found.settled) | {c.path for c in found.clashes}
    return Ground(
        {**ground.golden, **found.golden},
        found.link,
        ground.policy,
        conflicts=frozenset(disputed),
        changed_at=ground.changed_at,
    )


@given(grounds(policies), records, sightings)
def test_the_same_sighting_twice_is_no_news(
    ground: Ground, values: Values, sighting: Sighting
) -> None:
    once = after(ground, observe(ground, values, sighting))
    again = observe(once, values, sighting)
    assert not again.news
    assert (again.golden, again.changes, again.clashes) == ({}, [], [])
    assert again.link == agree(once.golden, once.link)


@given(grounds(policies), sightings)
def test_showing_what_it_showed_changes_nothing_golden(ground: Ground, sighting: Sighting) -> None:
    shown = {path: ground.link.shown_at(path) for path in PATHS}
    found = observe(ground, shown, sighting)
    assert (found.golden, found.changes, found.clashes) == ({}, [], [])
    assert not found.drift


@given(grounds(policies), records, sightings)
def test_no_typed_value_vanishes(ground: Ground, values: Values, sighting: Sighting) -> None:
    found = observe(ground, values, sighting)
    golden = {**ground.golden, **found.golden}
    superseded = {(c.path, c.old) for c in found.changes if c.decision == "superseded"}
    asked = {(c.path, c.theirs) for c in found.clashes}
    for path, value in values.items():
        if value in (ground.link.seen_at(path), ground.link.shown_at(path)):
            continue
        assert golden[path] == value or (path, value) in superseded | asked


@given(grounds(policies), records, sightings)
def test_no_golden_value_vanishes(ground: Ground, values: Values, sighting: Sighting) -> None:
    found = observe(ground, values, sighting)
    kept = {(change.path, change.old) for change in found.changes}
    assert all((path, ground.golden[path]) in kept for path in found.golden)


@given(grounds(policies), records, sightings)
def test_what_is_seen_is_what_was_read(ground: Ground, values: Values, sighting: Sighting) -> None:
    link = observe(ground, values, sighting).link
    assert {path: link.seen_at(path) for path in PATHS} == values


@given(grounds(policies), records, sightings)
def test_a_blank_overwrites_only_where_policy_says_so(
    ground: Ground, values: Values, sighting: Sighting
) -> None:
    found = observe(ground, values, sighting)
    for path, value in found.golden.items():
        policy = ground.policy.of(path)
        assert value is not None or policy.blank == "write" or policy.unit is not None


class Dense:
    """The rules as written down, one field at a time, with nothing stored cleverly."""

    def __init__(self, ground: Ground, sighting: Sighting) -> None:
        self.ground, self.sighting = ground, sighting
        self.golden: Values = {}
        self.asked: set[str] = set()
        self.link: dict[str, tuple[Scalar, Scalar, Scalar]] = {}

    def look(self, values: Mapping[str, Scalar]) -> None:
        for path, value in values.items():
            link, golden = self.ground.link, self.ground.golden[path]
            seen, agreed, shown = link.seen_at(path), link.agreed_at(path), link.shown_at(path)
            self.link[path] = (value, agreed, shown)
            if value in (seen, shown):
                continue
            if value == golden or self._takes(path, value, golden=golden, agreed=agreed):
                self.link[path] = (value, value, value)
                if value != golden:
                    self.golden[path] = value

    def _takes(self, path: str, value: Scalar, *, golden: Scalar, agreed: Scalar) -> bool:
        policy = self.ground.policy.of(path)
        if path in self.ground.conflicts:
            self.asked.add(path)
            return False
        if value is None and policy.blank == "keep":
            return False
        waiting = golden is None and (policy.blank == "keep" or agreed is None)
        if policy.owners is not None and "crm" not in policy.owners:
            return waiting and policy.owners == {"erp"}
        if waiting or golden == agreed:
            return True
        rule = policy.first if self.sighting.first else policy.both
        if rule == "ask":
            self.asked.add(path)
        if rule == "latest":
            return self.sighting.modified_at == NOON + timedelta(1)
        return rule == "crm"


@given(grounds(apart), records, sightings)
def test_the_sparse_form_decides_as_a_naive_one(
    ground: Ground, values: Values, sighting: Sighting
) -> None:
    found = observe(ground, values, sighting)
    naive = Dense(ground, sighting)
    naive.look(values)
    assert found.golden == naive.golden
    assert {c.path for c in found.clashes} == naive.asked
    link = found.link
    assert naive.link == {p: (link.seen_at(p), link.agreed_at(p), link.shown_at(p)) for p in PATHS}


@given(grounds(policies), records, sightings)
def test_a_unit_is_never_a_mixture(ground: Ground, values: Values, sighting: Sighting) -> None:
    parts = [p for p in PATHS if ground.policy.unit_of(p) is not None]
    found = observe(ground, values, sighting)
    if not any(p in found.golden for p in parts):
        return
    for path in parts:
        told = {**ground.golden, **found.golden}[path]
        untouched = values[path] == ground.link.shown_at(path)
        assert told == values[path] or (untouched and told == ground.link.agreed_at(path))


@given(records, links())
def test_after_agreeing_only_real_differences_are_left(golden: Values, link: LinkState) -> None:
    after = agree(golden, link)
    assert after.seen == link.seen
    for path in PATHS:
        if golden[path] == link.seen_at(path):
            assert after.in_sync(golden, [path])
        else:
            assert after.agreed_at(path) == link.agreed_at(path)
            assert after.shown_at(path) == link.shown_at(path)


@given(grounds(policies), records)
def test_what_was_written_is_not_wanted_again(ground: Ground, read_back: Values) -> None:
    golden, rules = ground.golden, ground.policy

    def want(link: LinkState) -> Values:
        return wanted(golden, link, rules, writable=bool, conflicts=ground.conflicts)

    written = want(ground.link)
    settled = settle(ground.link, written, read_back)
    assert want(settled) == {}
    assert want(agree(golden, settled)) == {}


@given(grounds(policies))
def test_nothing_disputed_is_ever_wanted(ground: Ground) -> None:
    found = wanted(
        ground.golden, ground.link, ground.policy, writable=bool, conflicts=ground.conflicts
    )
    units = {ground.policy.unit_of(p) for p in ground.conflicts} - {None}
    assert not any(p in ground.conflicts or ground.policy.unit_of(p) in units for p in found)
