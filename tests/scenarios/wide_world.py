"""The wide world: what else users and operators do, and what must hold in the end.

Adds to simulation.py: lines, states, reverted edits, merges that create a third record, decisions
about conflicts and reviews, pauses, retried quarantine entries, changing mappings.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from hub.errors import DecisionError, HubError
from hub.flows.figures import company_figures
from hub.flows.flow_input import Fact
from hub.store import quarantine
from hub.store.conflicts import list_conflicts
from hub.store.connections import save_connection
from hub.store.golden import golden_by_entity
from hub.store.reviews import open_reviews
from hub.store.streams import all_streams, save_stream
from hub.sync.operate.decide import decide_review
from hub.sync.operate.resolve import resolve_conflict, resolve_with_value
from hub.sync.run import Report, sync
from mappings.canonical.values import Scalar
from tests.scenarios.schedule import VERBS, Step, schedule
from tests.scenarios.simulation import FieldRef, World
from tests.scenarios.wide_landscape import (
    ITEM_FIELDS,
    OPTIONAL,
    SKUS,
    WideLandscape,
    canonical,
    draw_wide,
    mapping_of,
)

#: Verb -> how often it is drawn.
WIDE_VERBS: Mapping[str, int] = {
    **VERBS,
    "line": 8,
    "advance": 6,
    "undo": 4,
    "move": 2,
    "fuse": 1,
    "decide": 4,
    "judge": 1,
    "resume": 3,
    "pause": 1,
    "replay": 1,
    "remap": 1,
    "derive": 3,
}
_FOLLOWS = {
    "draft": ("quoted", "quoted", "cancelled"),
    "quoted": ("confirmed", "confirmed", "cancelled", "draft"),
    "confirmed": ("processing", "quoted"),
    "processing": ("done",),
    "done": ("done",),
    "cancelled": ("cancelled",),
}
#: A pause for every stream, and some more that follow from what is then approved.
_MOST_PAUSES = 20


@dataclass
class WideWorld(World):
    """Systems with orders, and users who revert edits."""

    landscape: WideLandscape
    untyped: frozenset[str] = frozenset(
        (
            *("code", "number", "company", "state", "production_state"),
            *company_figures([], [], [], today=date(2026, 1, 1)),
        )
    )
    #: Field -> what it showed before a user last typed into it.
    before: dict[FieldRef, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dropped = {
            (spec.name, stream): self.landscape.dropped.get((spec.name, stream), frozenset())
            for spec in self.landscape.specs
            for stream in self.landscape.streams
        }
        super().__post_init__()

    def acts(self) -> dict[str, Callable[[Step, Any], None]]:
        """Returns verb -> what it does."""
        return super().acts() | {
            "line": self._line,
            "advance": self._advance,
            "undo": self._undo,
            "move": self._move,
            "fuse": self._fuse,
            "decide": self._decide,
            "judge": self._judge,
            "resume": self._resume,
            "pause": self._pause,
            "replay": self._replay,
            "remap": self._remap,
        }

    def mapping(self, name: str, stream: str) -> Any:
        """Returns the hub's current mapping of a stream."""
        return mapping_of(name, stream, self.dropped[name, stream])

    def known_to_hub(self, field_ref: FieldRef) -> bool:
        """Returns True if the hub currently reads this field."""
        return field_ref.path not in self.dropped[field_ref.system, field_ref.stream]

    def shown(self, field_ref: FieldRef) -> Scalar:
        """Returns what a field of a system shows, in canonical form."""
        payload = self.systems[field_ref.system].get(field_ref.stream, field_ref.key)
        if "[" not in field_ref.path:
            return canonical(field_ref.path, _at(payload, field_ref.path))
        sku, leaf = _spec(field_ref.path)
        item = _item(payload, sku)
        return None if item is None else canonical(field_ref.path, item.get(leaf))

    def _stream(self, step: Step) -> str:
        return ("contacts", "companies", "orders", "companies")[step.what % 4]

    def _word(self, path: str) -> str:
        self.words += 1
        number = path.rpartition(".")[2] in ("price", "quantity", "unit_price")
        return f"{self.words}.25" if number else f"{self.words}-AbCdefgh"

    # --- people ---------------------------------------------------------------------------------

    def _put(self, payload: dict[str, Any], path: str, value: Any) -> None:
        if "[" not in path:
            super()._put(payload, path, value)
            return
        sku, leaf = _spec(path)
        items = payload.setdefault("lines", [])
        item = next((i for i in items if i["sku"] == sku), None)
        if item is None:
            items.append({"sku": sku, leaf: value})
        else:
            item[leaf] = value

    def _filled_in(self, stream: str, step: Step) -> list[str]:
        """Fills in whole lines."""
        if stream != "orders":
            return super()._filled_in(stream, step)
        skus = [sku for i, sku in enumerate(SKUS) if step.what >> i & 1]
        return ["description", *(f"lines[{sku}].{f}" for sku in skus for f in ITEM_FIELDS)]

    def _type(self, field_ref: FieldRef, step: Step) -> None:
        """Types into a field; a new line is always typed whole."""
        if "[" in field_ref.path:
            self._type_line(field_ref, step)
            return
        self.before[field_ref] = self.shown(field_ref)
        super()._type(field_ref, step)

    def _line(self, step: Step, _hub: Any) -> None:
        key = self._some(self._name(step), "orders", step.pick)
        if key is not None:
            sku = SKUS[step.what % len(SKUS)]
            leaf = ITEM_FIELDS[step.what // 3 % len(ITEM_FIELDS)]
            self._type_line(FieldRef(self._name(step), "orders", key, f"lines[{sku}].{leaf}"), step)

    def _type_line(self, field_ref: FieldRef, step: Step) -> None:
        """Adds a line, removes it, or types into one of its fields."""
        system = self.systems[field_ref.system]
        sku, leaf = _spec(field_ref.path)
        item = _item(system.get("orders", field_ref.key), sku)
        field_refs = [
            FieldRef(*(field_ref.system, "orders", field_ref.key), f"lines[{sku}].{f}")
            for f in ITEM_FIELDS
        ]
        if item is None:
            change = {"sku": sku, **{f: self._word(f) for f in ITEM_FIELDS}}
        elif step.pick % 4 == 0:
            change = {"id": item["id"], "remove": True}
        else:
            field_refs = [field_ref]
            change = {"id": item["id"], leaf: self._word(leaf)}
        for one in field_refs:
            self._withdraw(one)
        system.edit("orders", field_ref.key, lines=[change])
        self.story.append(f"{field_ref.system}: a user types orders {field_ref.key} line {change}")
        for one in field_refs:
            self._note(one)

    def _undo(self, step: Step, _hub: Any) -> None:
        """A user reverts an edit."""
        field_refs = [s for s in self.before if s.system == self._name(step)]
        if not field_refs:
            return
        field_ref = field_refs[step.pick % len(field_refs)]
        row = self.systems[field_ref.system].row(field_ref.stream, field_ref.key)
        if row is None or row.fate != "live":
            return
        self._withdraw(field_ref)
        patch: dict[str, Any] = {}
        self._put(patch, field_ref.path, self.before[field_ref])
        self.systems[field_ref.system].edit(field_ref.stream, field_ref.key, patch)
        self.story.append(
            f"{field_ref.system}: a user undoes {field_ref.stream} {field_ref.key} {patch}"
        )
        # The value may equal what was agreed, in that system's own spelling.
        if self.before[field_ref] is not None:
            self.said.add(str(self.shown(field_ref)))

    def _advance(self, step: Step, _hub: Any) -> None:
        """A user advances, cancels or reopens an order."""
        name = self._name(step)
        key = self._some(name, "orders", step.pick)
        if key is None:
            return
        state = str(self.systems[name].get("orders", key)["state"])
        following = _FOLLOWS[state][step.what % len(_FOLLOWS[state])]
        self.systems[name].edit("orders", key, state=following)
        self.story.append(f"{name}: a user moves order {key} from {state} to {following}")

    def _move(self, step: Step, _hub: Any) -> None:
        """A contact or an order goes to another company."""
        name, stream = self._name(step), ("contacts", "orders")[step.what % 2]
        key = self._some(name, stream, step.pick)
        company = self._some(name, "companies", step.what)
        if key is not None and company is not None:
            self.systems[name].edit(stream, key, company=company)
            self.story.append(f"{name}: a user moves {stream} {key} to company {company}")

    def _fuse(self, step: Step, _hub: Any) -> None:
        """Two records become a third one, with an id of its own."""
        name, stream = self._name(step), self._stream(step)
        system = self.systems[name]
        keys = {self._some(name, stream, step.pick), self._some(name, stream, step.what)}
        if len(keys) < 2 or None in keys:
            return
        first, second = sorted(str(key) for key in keys)
        for key in (first, second):
            self._withdraw_all(name, stream, key)
        self.merged |= {system.get(stream, k)["code"] for k in (first, second)}
        self.meddled |= self.merged
        third = system.create(stream, system.get(stream, first))
        self.created_by_users.add((name, stream, third))
        for key in (first, second):
            system.merge(stream, key, into=third)
        if stream == "companies":
            self._adopt_children(name, {first, second}, third)
        self.story.append(f"{name}: {stream} {first} and {second} become {third}")

    # --- operators ------------------------------------------------------------------------------

    def _decide(self, step: Step, hub: Any) -> None:
        """A person answers a conflict: ours, theirs, or a third value."""
        with hub.store.read() as tx:
            found = list_conflicts(tx)
        if not found:
            return
        row = found[step.pick % len(found)]
        answer = ("ours", "theirs", "value")[step.what % 3]
        self.story.append(f"a person resolves the conflict about {row['path']}: {answer}")
        try:
            if answer != "value" or row.path in self.untyped:
                resolve_conflict(hub, row.id, "ours" if answer == "ours" else "theirs")
                return
            word = self._word(row.path)
            # From then on it is golden, whatever happens to it later.
            self.said.add(str(canonical(row.path, word)))
            resolve_with_value(hub, row.id, word)
            field_ref = FieldRef("(hub)", "", str(row.id), row.path)
            self.typed[field_ref] = str(canonical(row.path, word))
        except DecisionError as error:
            self.story.append(f"  which is refused: {error}")

    def _judge(self, step: Step, hub: Any) -> None:
        """A person decides a review."""
        with hub.store.read() as tx:
            found = open_reviews(tx)
        if not found:
            return
        review = found[step.pick % len(found)]
        choices = ["new", *review.candidates]
        self._decide_review(review, choices[step.what % len(choices) :])

    def _pause(self, step: Step, hub: Any) -> None:
        with hub.store.begin() as tx:
            reason = {"paused_at": self.now, "reason": "an operator looks at it"}
            save_connection(tx, self._name(step), **reason)
        self.story.append(f"{self._name(step)} is paused")

    def _resume(self, _step: Step, hub: Any) -> None:
        """An operator resumes everything and approves what exceeded the change limit."""
        free = {"paused_at": None, "reason": None}
        with hub.store.begin() as tx:
            for name in self.specs:
                save_connection(tx, name, **free)
            for spec, state in all_streams(tx).items():
                if state.paused_at is not None:
                    save_stream(tx, *spec, **free, accepted=1)
        self.story.append("an operator resumes everything")

    def _replay(self, _step: Step, hub: Any) -> None:
        with hub.store.begin() as tx:
            quarantine.retry(tx, [entry.id for entry in quarantine.listing(tx)], now=self.now)
        self.story.append("an operator retries everything in quarantine")

    def _remap(self, step: Step, _hub: Any) -> None:
        """A mapping leaves a field out, or includes it again; every process restarts."""
        name = self._name(step)
        stream = list(OPTIONAL)[step.what % len(OPTIONAL)]
        path = OPTIONAL[stream][step.pick % len(OPTIONAL[stream])]
        self.dropped[name, stream] ^= {path}
        for field_ref in [
            s for s in self.typed if (s.system, s.stream, s.path) == (name, stream, path)
        ]:
            self._withdraw(field_ref)
        left_out = sorted(self.dropped[name, stream])
        self.story.append(f"{name}: the mapping of {stream} leaves out {left_out}")
        self.crash_points, self.hub = self.process()
        _, self.colleague = self.process()
        self.now += timedelta(minutes=11)  # all earlier processes have ended

    # --- the end --------------------------------------------------------------------------------

    def finish(self) -> None:
        """As in the base class; also resumes what is paused."""
        super().finish()
        self._resume(Step("resume", 0, 0, 0, 0), self.hub)

    def rest(self) -> Report:
        """One round without faults; a person approves large changes and decides reviews."""
        report = sync(self.hub)
        for _ in range(_MOST_PAUSES):
            with self.hub.store.read() as tx:
                reviews = open_reviews(tx)
            if not report.paused and not reviews:
                break
            for review in reviews:
                self._decide_review(review, [*review.candidates, "new"])
            self._resume(Step("resume", 0, 0, 0, 0), self.hub)
            report = sync(self.hub)
        return report

    def _decide_review(self, review: Mapping[str, Any], answers: Sequence[str]) -> None:
        """Gives the first answer that is not refused."""
        for answer in answers:
            try:
                decide_review(self.hub, review.id, answer)
            except HubError as error:
                self.story.append(f"  which is refused: {error}")
            else:
                self.story.append(f"a person decides that {review['key']} is {answer}")
                return

    def also_wrong(self) -> Iterator[str]:
        """The figures of every company follow from its orders."""
        with self.colleague.store.read() as tx:
            orders = golden_by_entity(tx, "sales_order", limit=1000)
            for company in golden_by_entity(tx, "company", limit=1000):
                theirs = [
                    Fact(o.id, o.entity, o.values)
                    for o in orders
                    if o.values.get("company") == company.id
                ]
                should = company_figures(theirs, [], [], today=self.now.date())
                for path in ("figures.last_order", "figures.open_orders"):
                    shows = company.values.get(path)
                    if shows != should[path] and not (shows is None and not theirs):
                        yield f"{path} of a company is {shows!r} and should be {should[path]!r}"


def _at(payload: Mapping[str, Any], path: str) -> Any:
    value: Any = payload
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _spec(path: str) -> tuple[str, str]:
    """Returns the item's key and the field of a path in a list."""
    sku, _, leaf = path.removeprefix("lines[").partition("].")
    return sku, leaf


def _item(payload: Mapping[str, Any], sku: str) -> Mapping[str, Any] | None:
    items = payload.get("lines") or ()
    return next((item for item in items if item.get("sku") == sku), None)


def drawn_wide(seed: int, length: int) -> tuple[WideLandscape, list[Step]]:
    """Returns the wide landscape and the schedule that a seed names."""
    chance = random.Random(seed)
    return draw_wide(chance), schedule(chance, length, WIDE_VERBS)
