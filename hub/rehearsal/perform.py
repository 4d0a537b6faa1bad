"""One rehearsal in one process from beginning to end: population, day, rest, verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from connectors.kit.vices import Chances
from hub.rehearsal.ledger import Ledger
from hub.rehearsal.people import Day
from hub.rehearsal.plan import Op, Plan, Scene
from hub.rehearsal.play import Play
from hub.rehearsal.rest import read_anew, rest
from hub.rehearsal.stage import Plot, Stage
from hub.rehearsal.verdict import Verdict, judged
from hub.store.engine import Store

#: A working day, in seconds.
DAY = 8 * 3600
#: Scenes between two lunches: so many lunches a day, whatever its size.
_LUNCHES = 5


@dataclass(frozen=True)
class Order:
    """What to rehearse."""

    plot: Plot
    seed: int
    changes: int
    #: Vice -> chance.
    vices: Chances
    #: As the person wrote it.
    asked: str = "all"
    #: The settings are a file of the user's, not the shipped pair.
    given: bool = False
    #: Where it is played, in words of the command and without passwords.
    places: tuple[str, ...] = ()

    def without(self, vices: Iterable[str]) -> Order:
        """Returns the order without some vices."""
        left = {name: chance for name, chance in self.vices.items() if name not in vices}
        return replace(self, vices=left)


@dataclass
class Performance:
    """How it went."""

    play: Play
    verdict: Verdict
    #: Scenes that were played.
    scenes: int
    seconds: float


def day_of(order: Order, stage: Stage) -> Day:
    """Returns the day that an order means."""
    pace = DAY / max(order.changes, 1)
    return Day(order.seed, stage.cast(), order.changes, pace=min(pace, 3.0))


def page_of(order: Order) -> int:
    """Returns how many records a page has: on a small day, too, a reading takes several."""
    return min(max(_people(order) // 4, 4), 100)


def _people(order: Order) -> int:
    return max(order.changes // 25, 12)


def plan_of(order: Order, stage: Stage, day: Day) -> Plan:
    """Returns the plan of the scenes."""
    streams = {name: tuple(c.channels) for name, c in stage.hub.connections.items()}
    people = _people(order)
    # Large enough that work comes in batches, small enough that few runs are a surprise.
    largest = max(6, min(max(people // 2, 120), order.changes // 10, 4000))
    rhythm = max(order.changes * 2 // (largest * _LUNCHES), 4)
    return Plan(order.seed, day, streams, order.vices, largest, rhythm)


def perform(
    order: Order,
    store: Store,
    folder: Path,
    *,
    ledger: Ledger,
    chosen: Callable[[Iterable[Scene]], Iterator[Scene]] | None = None,
    tell: Callable[[str], None] | None = None,
    advance: Callable[[int], None] = lambda _count: None,
) -> Performance:
    """Plays an order on an empty store and an empty ledger, which the caller closes.

    `chosen` leaves out parts of the story.
    """
    began = time.monotonic()
    stage = Stage(order.plot, folder, store, order.seed, order.vices, page=page_of(order))
    play = Play(stage, ledger, tell)
    day = day_of(order, stage)
    play.populate(day.population())
    rest(play)
    play.day_begins()
    scenes = plan_of(order, stage, day).scenes()
    number = 0
    for scene in scenes if chosen is None else chosen(scenes):
        number = scene.number
        before = play.changes
        play.scene(scene)
        advance(play.changes - before)
        if scene.lunch:
            rest(play)
        if _broken(play) or (chosen is None and play.changes >= order.changes):
            break
    play.day_ends()
    end(play)
    return Performance(play, judged(play), number, time.monotonic() - began)


def _broken(play: Play) -> bool:
    """Says whether it makes no sense to go on."""
    return len(play.findings) > 5 or play.endless


def end(play: Play) -> None:
    """People go home, faults end, what was on its way arrives."""
    play.stage.good_behaviour()
    if play.endless:
        return
    while play.late:
        play.perform(Op("arrive"))
    rest(play)
    read_anew(play)
