"""Laws of observing for all values: compared with a second, naive implementation of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.model.observe import Baseline, Observation, RecordContext, observe
from hub.model.policy import EntityPolicy, FieldPolicy
from hub.model.state import LinkState
from hub.model.wanted import agree, settle, wanted
from mappings.canonical.values import Scalar, Values

PATHS = ("name", "phone", "address.street", "address.city")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

scalars = st.sampled_from([None, "A", "B", "C", "AA"])
records = st.fixed_dictionaries(dict.fromkeys(PATHS, scalars))
field_policies = st.builds(
    FieldPolicy,
    owners=st.sampled_from([None, None, frozenset(), frozenset({"crm"}), frozenset({"erp"})]),
    on_conflict=st.sampled_from(["ask", "latest", "crm", "erp"]),
    on_first_match=st.sampled_from(["ask", "latest", "crm", "erp"]),
    when_blank=st.sampled_from(["keep", "write"]),
)
united = st.builds(
    FieldPolicy,
    on_conflict=st.sampled_from(["ask", "crm", "erp"]),
    when_blank=st.sampled_from(["keep", "write"]),
    unit=st.just("address"),
)
apart = st.fixed_dictionaries({"": field_policies, "phone": field_policies})
policies = apart | st.fixed_dictionaries({"": field_policies, "address": united})
sightings = st.builds(
    RecordContext,
    connection=st.just("crm"),
    modified_at=st.sampled_from([None, NOON, NOON + timedelta(1)]),
    is_first=st.booleans(),
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
def baselines(draw: st.DrawFn, rules: st.SearchStrategy[dict[str, FieldPolicy]]) -> Baseline:
    golden = draw(records)
    return Baseline(
        golden,
        agree(golden, draw(links())),
        EntityPolicy(draw(rules)),
        conflicts=draw(st.frozensets(st.sampled_from(PATHS), max_size=1)),
        changed_at=lambda _: NOON,
    )


def after(baseline: Baseline, found: Observation) -> Baseline:
    """The baseline against which the next observation is judged."""
    disputed = (baseline.conflicts - found.settled) | {c.path for c in found.conflicts}
    return Baseline(
        {**baseline.golden, **found.golden},
        found.link,
        baseline.policy,
        conflicts=frozenset(disputed),
        changed_at=baseline.changed_at,
    )


@given(baselines(policies), records, sightings)
def test_the_same_sighting_twice_is_no_news(
    baseline: Baseline, values: Values, context: RecordContext
) -> None:
    once = after(baseline, observe(baseline, values, context))
    again = observe(once, values, context)
    assert not again.news
    assert (again.golden, again.changes, again.conflicts) == ({}, [], [])
    assert again.link == agree(once.golden, once.link)


@given(baselines(policies), sightings)
def test_the_shown_value_changes_nothing(baseline: Baseline, context: RecordContext) -> None:
    shown = {path: baseline.link.shown_at(path) for path in PATHS}
    found = observe(baseline, shown, context)
    assert (found.golden, found.changes, found.conflicts) == ({}, [], [])
    assert not found.drift


@given(baselines(policies), records, sightings)
def test_no_typed_value_vanishes(
    baseline: Baseline, values: Values, context: RecordContext
) -> None:
    found = observe(baseline, values, context)
    golden = {**baseline.golden, **found.golden}
    superseded = {(c.path, c.old) for c in found.changes if c.decision == "superseded"}
    asked = {(c.path, c.theirs) for c in found.conflicts}
    for path, value in values.items():
        if value in (baseline.link.seen_at(path), baseline.link.shown_at(path)):
            continue
        assert golden[path] == value or (path, value) in superseded | asked


@given(baselines(policies), records, sightings)
def test_no_golden_value_vanishes(
    baseline: Baseline, values: Values, context: RecordContext
) -> None:
    found = observe(baseline, values, context)
    kept = {(change.path, change.old) for change in found.changes}
    assert all((path, baseline.golden[path]) in kept for path in found.golden)


@given(baselines(policies), records, sightings)
def test_seen_is_what_was_read(baseline: Baseline, values: Values, context: RecordContext) -> None:
    link = observe(baseline, values, context).link
    assert {path: link.seen_at(path) for path in PATHS} == values


@given(baselines(policies), records, sightings)
def test_a_blank_overwrites_only_by_policy(
    baseline: Baseline, values: Values, context: RecordContext
) -> None:
    found = observe(baseline, values, context)
    for path, value in found.golden.items():
        policy = baseline.policy.of(path)
        assert value is not None or policy.when_blank == "write" or policy.unit is not None


class Dense:
    """The rules as documented, one field at a time, without compact storage."""

    def __init__(self, baseline: Baseline, context: RecordContext) -> None:
        self.baseline, self.context = baseline, context
        self.golden: Values = {}
        self.asked: set[str] = set()
        self.link: dict[str, tuple[Scalar, Scalar, Scalar]] = {}

    def look(self, values: Mapping[str, Scalar]) -> None:
        for path, value in values.items():
            link, golden = self.baseline.link, self.baseline.golden[path]
            seen, agreed, shown = link.seen_at(path), link.agreed_at(path), link.shown_at(path)
            self.link[path] = (value, agreed, shown)
            if value in (seen, shown):
                continue
            if value == golden or self._takes(path, value, golden=golden, agreed=agreed):
                self.link[path] = (value, value, value)
                if value != golden:
                    self.golden[path] = value

    def _takes(self, path: str, value: Scalar, *, golden: Scalar, agreed: Scalar) -> bool:
        policy = self.baseline.policy.of(path)
        if path in self.baseline.conflicts:
            self.asked.add(path)
            return False
        if value is None and policy.when_blank == "keep":
            return False
        waiting = golden is None and (policy.when_blank == "keep" or agreed is None)
        if policy.owners is not None and "crm" not in policy.owners:
            return waiting and policy.owners == {"erp"}
        if waiting or golden == agreed:
            return True
        rule = policy.on_first_match if self.context.is_first else policy.on_conflict
        if rule == "ask":
            self.asked.add(path)
        if rule == "latest":
            return self.context.modified_at == NOON + timedelta(1)
        return rule == "crm"


@given(baselines(apart), records, sightings)
def test_the_sparse_form_decides_as_a_naive_one(
    baseline: Baseline, values: Values, context: RecordContext
) -> None:
    found = observe(baseline, values, context)
    naive = Dense(baseline, context)
    naive.look(values)
    assert found.golden == naive.golden
    assert {c.path for c in found.conflicts} == naive.asked
    link = found.link
    assert naive.link == {p: (link.seen_at(p), link.agreed_at(p), link.shown_at(p)) for p in PATHS}


@given(baselines(policies), records, sightings)
def test_a_unit_is_never_a_mixture(
    baseline: Baseline, values: Values, context: RecordContext
) -> None:
    parts = [p for p in PATHS if baseline.policy.unit_of(p) is not None]
    found = observe(baseline, values, context)
    if not any(p in found.golden for p in parts):
        return
    for path in parts:
        result = {**baseline.golden, **found.golden}[path]
        untouched = values[path] == baseline.link.shown_at(path)
        assert result == values[path] or (untouched and result == baseline.link.agreed_at(path))


@given(records, links())
def test_agreeing_leaves_only_real_differences(golden: Values, link: LinkState) -> None:
    after = agree(golden, link)
    assert after.seen == link.seen
    for path in PATHS:
        if golden[path] == link.seen_at(path):
            assert after.in_sync(golden, [path])
        else:
            assert after.agreed_at(path) == link.agreed_at(path)
            assert after.shown_at(path) == link.shown_at(path)


@given(baselines(policies), records)
def test_what_was_written_is_not_wanted_again(baseline: Baseline, read_back: Values) -> None:
    golden, rules = baseline.golden, baseline.policy

    def want(link: LinkState) -> Values:
        return wanted(golden, link, rules, writable=bool, conflicts=baseline.conflicts)

    written = want(baseline.link)
    settled = settle(baseline.link, written, read_back)
    assert want(settled) == {}
    assert want(agree(golden, settled)) == {}


@given(baselines(policies))
def test_nothing_in_conflict_is_ever_wanted(baseline: Baseline) -> None:
    found = wanted(
        baseline.golden, baseline.link, baseline.policy, writable=bool, conflicts=baseline.conflicts
    )
    units = {baseline.policy.unit_of(p) for p in baseline.conflicts} - {None}
    assert not any(p in baseline.conflicts or baseline.policy.unit_of(p) in units for p in found)
