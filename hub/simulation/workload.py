"""What users do on the day of a simulation: a list of plain steps, drawn from a seed.

Pure, and drawn without looking at the systems: leaving steps out changes none of the others, so
that a long history can be shrunk to a short one that fails in the same way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar

#: Entity -> first letter of its subjects: company c1, order o7 of deal d7, order s3 of the ERP.
LETTERS = {
    "company": "c",
    "contact": "p",
    "product": "a",
    "opportunity": "d",
    "sales_order": "s",
}
#: Verb -> how often it is drawn.
_VERBS = {
    "edit": 62,
    "create": 9,
    "quarrel": 3,
    "blank": 3,
    "delete": 2,
    "merge": 1,
    "win": 4,
    "handle": 17,
}
#: How often an entity is edited.
_EDITED = {"company": 5, "contact": 5, "product": 1, "opportunity": 3, "sales_order": 1}
_CREATED = {"company": 3, "contact": 4, "product": 1, "opportunity": 4, "sales_order": 1}
#: Number of orders that are being worked on at a time.
_DESK = 60


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a user; nothing happens if the record does not exist."""

    #: Its position in the history; the values typed in it derive from this number.
    number: int
    verb: str
    entity: str
    subject: str
    #: The connection it happens in.
    side: str
    #: Picks among fields, products and the like.
    pick: int = 0
    #: The other subject: the company of a contact, the survivor of a merge.
    other: str = ""
    #: Seconds that pass before it.
    pause: float = 0.0

    @property
    def subjects(self) -> tuple[str, ...]:
        """All subjects that it touches."""
        return (self.subject, self.other) if self.other else (self.subject,)


@dataclass(frozen=True)
class Roles:
    """What users can do in which connection."""

    #: Entity -> connections whose users create records of it.
    creators: Mapping[str, Sequence[str]]
    #: Entity -> connections where it has fields to type into.
    editors: Mapping[str, Sequence[str]]
    #: Entity -> connections where deals are won and orders are worked on.
    desks: Mapping[str, Sequence[str]]


@dataclass
class Workload:
    """Draws the population and the steps of a day."""

    seed: int
    roles: Roles
    #: Number of changes; the size of the company follows from it.
    changes: int
    #: Average number of seconds between two steps.
    pace: float = 1.0
    _counts: dict[str, int] = field(default_factory=dict)
    _orders: list[str] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=lambda: count(1))

    def population(self) -> Iterator[Step]:
        """Yields the initial data, some of it in several systems."""
        chance = random.Random(f"{self.seed} population")  # noqa: S311 - repeatable, not secret
        size = min(max(self.changes // 25, 12), 8000)
        sizes = {
            "company": size,
            "product": max(size // 10, 5),
            "contact": size,
            "opportunity": size // 2,
            "sales_order": size // 20,
        }
        for entity, number in sizes.items():
            sides = self.roles.creators.get(entity, ())
            for _ in range(number if sides else 0):
                step = self._create(chance, entity)
                yield step
                if len(sides) > 1 and chance.random() < 0.4:
                    for side in sides:
                        if side != step.side:
                            yield self._again(step, side)

    def steps(self) -> Iterator[Step]:
        """Yields steps without end."""
        chance = random.Random(f"{self.seed} day")  # noqa: S311
        verbs, weights = list(_VERBS), list(_VERBS.values())
        while True:
            for verb in chance.choices(verbs, weights, k=100):
                yield from self._DRAWN[verb](self, chance)

    # --- drawing --------------------------------------------------------------------------------

    def _step(self, chance: random.Random, verb: str, entity: str, subject: str, side: str) -> Step:
        pause = chance.expovariate(1.0) * self.pace
        return Step(
            next(self._number), verb, entity, subject, side, chance.randrange(1 << 20), "", pause
        )

    def _again(self, step: Step, side: str) -> Step:
        return Step(
            *(next(self._number), step.verb, step.entity, step.subject, side, step.pick, step.other)
        )

    def _create(self, chance: random.Random, entity: str) -> Step:
        number = self._counts[entity] = self._counts.get(entity, 0) + 1
        subject = f"{LETTERS[entity]}{number}"
        side = chance.choice(list(self.roles.creators[entity]))
        step = self._step(chance, "create", entity, subject, side)
        other = "" if entity in ("company", "product") else self._some(chance, "company")
        if entity == "sales_order":
            self._orders.append(subject)
        return Step(*(step.number, "create", entity, subject, side, step.pick, other, step.pause))

    def _some(self, chance: random.Random, entity: str) -> str:
        """Returns a subject of this entity: often one of the few that many users work on."""
        there = self._counts.get(entity, 0)
        if not there:
            return ""
        busy = max(there // 50, 3)
        number = chance.randrange(min(busy, there)) if chance.random() < 0.2 else None
        number = chance.randrange(there) if number is None else there - 1 - number
        return f"{LETTERS[entity]}{number + 1}"

    def _entity(
        self, chance: random.Random, weights: Mapping[str, int], sides: Mapping[str, Sequence[str]]
    ) -> str | None:
        possible = [e for e in weights if sides.get(e)]
        if not possible:
            return None
        return chance.choices(possible, [weights[e] for e in possible])[0]

    def _edit_some(self, chance: random.Random, verb: str = "edit") -> Iterator[Step]:
        entity = self._entity(chance, _EDITED, self.roles.editors)
        subject = self._some(chance, entity) if entity else ""
        if entity and subject:
            side = chance.choice(list(self.roles.editors[entity]))
            yield self._step(chance, verb, entity, subject, side)

    def _blank_some(self, chance: random.Random) -> Iterator[Step]:
        yield from self._edit_some(chance, "blank")

    def _create_some(self, chance: random.Random) -> Iterator[Step]:
        entity = self._entity(chance, _CREATED, self.roles.creators)
        if entity:
            step = self._create(chance, entity)
            yield step
            for side in self.roles.creators[entity]:
                if side != step.side and chance.random() < 0.1:
                    yield self._again(step, side)  # two users meet the same customer

    def _quarrel_some(self, chance: random.Random) -> Iterator[Step]:
        """Users of all systems type into the same field of the same subject."""
        entity = self._entity(chance, _EDITED, self.roles.editors)
        subject = self._some(chance, entity) if entity else ""
        if entity and subject:
            first = self._step(chance, "quarrel", entity, subject, "")
            for side in self.roles.editors[entity]:
                yield self._again(first, side)

    def _delete_some(self, chance: random.Random) -> Iterator[Step]:
        entity = self._entity(chance, {"company": 1, "contact": 3}, self.roles.creators)
        subject = self._some(chance, entity) if entity else ""
        if entity and subject:
            side = chance.choice(list(self.roles.creators[entity]))
            yield self._step(chance, "delete", entity, subject, side)
            for other in self.roles.editors.get(entity, ()):
                if other != side and chance.random() < 0.5:
                    yield self._step(chance, "edit", entity, subject, other)  # must not recreate it

    def _merge_some(self, chance: random.Random) -> Iterator[Step]:
        entity = self._entity(chance, {"company": 1, "contact": 1}, self.roles.creators)
        if entity is None:
            return
        subject, into = self._some(chance, entity), self._some(chance, entity)
        if subject and subject != into:
            side = chance.choice(list(self.roles.creators[entity]))
            step = self._step(chance, "merge", entity, subject, side)
            yield Step(*(step.number, "merge", entity, subject, side, step.pick, into, step.pause))

    def _win_some(self, chance: random.Random) -> Iterator[Step]:
        subject = self._some(chance, "opportunity")
        sides = self.roles.desks.get("opportunity", ())
        if subject and sides:
            yield self._step(chance, "win", "opportunity", subject, chance.choice(list(sides)))
            self._orders.append(f"o{subject[1:]}")

    def _handle_some(self, chance: random.Random) -> Iterator[Step]:
        """A user advances an order by one step."""
        sides = self.roles.desks.get("sales_order", ())
        if not sides or not self._orders:
            return
        desk = self._orders[-_DESK:]
        del self._orders[: -_DESK * 20]
        subject = chance.choice(desk)
        yield self._step(chance, "handle", "sales_order", subject, chance.choice(list(sides)))

    #: Verb -> how its steps are drawn.
    _DRAWN: ClassVar[Mapping[str, Callable[[Workload, random.Random], Iterator[Step]]]] = {
        "edit": _edit_some,
        "create": _create_some,
        "quarrel": _quarrel_some,
        "blank": _blank_some,
        "delete": _delete_some,
        "merge": _merge_some,
        "win": _win_some,
        "handle": _handle_some,
    }
