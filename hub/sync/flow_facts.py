"""Loads the input of flows for all roots at once, along the paths in their `needs`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection as Transaction

from hub.flows.flow import Needs
from hub.flows.flow_input import Fact, derived_id
from hub.flows.steps import Direction, steps
from hub.store import merges
from hub.store.golden import Golden, load_golden
from hub.store.references import referring

#: Start of a path -> the ids that it has reached so far.
_Reached = Mapping[str, Sequence[str]]


class KnownRecords:
    """The golden records of a derivation, each loaded and locked once.

    The number of statements depends on the paths, not on the number of records.
    """

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        #: By id, including deleted and merged ones.
        self.by_id: dict[str, Golden] = {}
        self._asked: set[str] = set()

    def load(self, ids: Iterable[str]) -> list[Golden]:
        """Returns the golden records with these ids, each once, in their order."""
        wanted = [golden_id for golden_id in dict.fromkeys(ids) if golden_id]
        missing = [i for i in wanted if i not in self.by_id and i not in self._asked]
        self._asked.update(missing)
        self.by_id |= load_golden(self.tx, missing, lock=True)
        return [self.by_id[i] for i in wanted if i in self.by_id]

    def alive(self, ids: Iterable[str], entity: str | None = None) -> list[Golden]:
        """Returns the records that are neither deleted nor merged, of one entity or of any."""
        return [g for g in self.load(ids) if is_alive(g) and entity in (None, g.entity)]

    def follow(self, changed: Sequence[Golden], path: str) -> dict[str, Sequence[str]]:
        """Returns {changed record: ids that a path of references leads to}.

        Deleted and merged records still lead to the records they referred to.
        """
        first, *others = steps(path) or (None,)
        if first is None:
            return {golden.id: [golden.id] for golden in changed}
        reached: _Reached = {golden.id: _targets(golden, first.reference) for golden in changed}
        for step in others:
            reached = self._referred(reached, step.reference)
        return dict(reached)

    def needs(self, roots: Sequence[str], needs: Needs) -> dict[str, dict[str, tuple[Fact, ...]]]:
        """Returns the input of each root: {root: {name: facts}}."""
        found: dict[str, dict[str, tuple[Fact, ...]]] = {root: {} for root in roots}
        for name, (entity, path) in needs.items() if roots else ():
            reached: _Reached = {root: [root] for root in roots}
            for step in steps(path):
                match step.direction:
                    case Direction.REFERRED:
                        reached = self._referred(reached, step.reference)
                    case Direction.REFERRING:
                        reached = self._referring(reached, step.reference)
                    case Direction.DERIVED:
                        reached = self._derived(reached, entity, step.reference)
            self.load(_all_of(reached))
            for root, ids in reached.items():
                found[root][name] = tuple(as_fact(g) for g in self.alive(ids, entity))
        return found

    def _referred(self, reached: _Reached, reference: str) -> _Reached:
        """Returns the records that these refer to."""
        self.load(_all_of(reached))
        return {
            start: [target for g in self.alive(ids) for target in _targets(g, reference)]
            for start, ids in reached.items()
        }

    def _referring(self, reached: _Reached, reference: str) -> _Reached:
        """Returns the records that refer to these."""
        living = [golden.id for golden in self.alive(_all_of(reached))]
        children = referring(self.tx, living, reference) if living else {}
        return {
            start: [child for i in ids for child in children.get(i, ())]
            for start, ids in reached.items()
        }

    def _derived(self, reached: _Reached, entity: str, reference: str) -> _Reached:
        """Returns the records derived from these, or from records that were merged into them."""
        derived = {i: derived_id(i, entity) for i in _all_of(reached)}
        living = {golden.id for golden in self.alive(derived.values())}
        lacking = [i for i, own in derived.items() if own not in living]
        derived |= self._inherited(lacking, entity, reference)
        return {start: [derived[i] for i in ids] for start, ids in reached.items()}

    def _inherited(self, ids: Sequence[str], entity: str, reference: str) -> dict[str, str]:
        """Returns {winner: record derived from one of its losers that refers to the winner now}."""
        children = self._referring({i: [i] for i in ids}, reference)
        self.load(_all_of(children))
        others = {i: {g.id for g in self.alive(found, entity)} for i, found in children.items()}
        lost = merges.losers(self.tx, [i for i, found in others.items() if found])
        inherited = {}
        for winner, losers in lost.items():
            candidates = (derived_id(loser, entity) for loser in losers)
            found = next((one for one in candidates if one in others[winner]), None)
            if found is not None:
                inherited[winner] = found
        return inherited


def is_alive(golden: Golden) -> bool:
    """Returns True if a golden record is neither deleted nor merged into another one."""
    return golden.merged_into is None and golden.deleted_at is None


def as_fact(golden: Golden) -> Fact:
    """Returns a golden record in the form that flows use."""
    return Fact(golden.id, golden.entity, golden.values)


def _all_of(reached: _Reached) -> list[str]:
    return list(dict.fromkeys(i for ids in reached.values() for i in ids))


def _targets(golden: Golden, reference: str) -> list[str]:
    """Returns the ids that a record refers to; for `lines[].product` those of all items."""
    name, listed, inner = reference.partition("[].")
    if not listed:
        return [str(golden.values.get(reference) or "")]
    return [str(item.get(inner) or "") for item in as_fact(golden).items(name).values()]
