"""Carries out the workload's steps at the emulators and records every typed value in the history.

Every typed value is unique, so that it can be found again. The hub is only asked what it has read
so far: a user who overwrites a value that the hub has not read takes it back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from connectors.memory import MemorySystem
from connectors.memory.tables import Row
from hub.simulation.emulators import Emulator, tag_of, word
from hub.simulation.history import History, HistoryEvent, TypedValue
from hub.simulation.workload import Step
from hub.store.links import Link
from mappings.canonical.values import Values

#: (connection, stream, keys) -> the hub's links of these records.
Known = Callable[[str, str, Sequence[str]], Mapping[str, Link]]
#: Values of one step start at its number times this.
_WORDS = 16
#: Fields that every new record gets: names, and the address that a deal needs to become an order.
_ALWAYS = frozenset(("name", "last_name", "address.street", "address.city"))


@dataclass
class Company:
    """All emulators, and the record of each subject in each of them."""

    systems: Mapping[str, MemorySystem]
    #: connection -> stream -> emulator
    emulators: Mapping[str, Mapping[str, Emulator]]
    #: (connection, entity) -> subject -> key
    keys: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    #: Subjects that users created in more than one system, deleted, or merged.
    shared: set[str] = field(default_factory=set)
    disturbed: set[str] = field(default_factory=set)
    merged: set[str] = field(default_factory=set)

    def emulator(self, connection: str, entity: str) -> Emulator | None:
        """Returns the emulator of an entity in a connection."""
        for emulator in self.emulators.get(connection, {}).values():
            if emulator.entity.name == entity and emulator.tag is not None:
                return emulator
        return None

    def key(self, connection: str, entity: str, subject: str) -> str | None:
        """Returns the key of a subject if users can find it there."""
        return self.keys.get((connection, entity), {}).get(subject)

    def add_record(self, connection: str, entity: str, subject: str, key: str) -> None:
        """Adds a subject's record; users keep using the first one."""
        self.keys.setdefault((connection, entity), {}).setdefault(subject, key)

    def remove_record(self, connection: str, entity: str, subject: str) -> None:
        """Removes a subject: users no longer find it."""
        self.keys.get((connection, entity), {}).pop(subject, None)


@dataclass(frozen=True, slots=True)
class TypedWord:
    """A record that a step has changed."""

    emulator: Emulator
    key: str
    subject: str


class WorkloadRunner:
    """The users, who carry out the workload."""

    def __init__(self, company: Company, history: History, known: Known, *, first: int) -> None:
        self._company, self._history, self._known = company, history, known
        #: Steps up to this number create the initial data.
        self._first = first
        self._links: dict[tuple[str, str, str], Link | None] = {}
        #: Called for each typed value: (line of the history, value, seconds since the epoch).
        self._count = 0
        self._narration: list[str] = []
        self.listeners: list[Callable[[int, TypedValue, float], None]] = []

    def take_count(self) -> int:
        """Returns the number of changes since the last call."""
        count, self._count = self._count, 0
        return count

    def take_narration(self) -> list[str]:
        """Returns a description of each step since the last call; used for short histories only."""
        narration, self._narration = self._narration, []
        return narration

    def population_ends(self, number: int) -> None:
        """Later steps count as changes of the day."""
        self._first = number

    def carry_out(self, steps: Iterable[Step], *, closed: str | None = None) -> list[TypedWord]:
        """Carries out steps one after the other; returns what has changed.

        `closed` is the connection that the hub is writing to; where there is no lock, a value typed
        at that moment could not be saved.
        """
        todo = [step for step in steps if not self._shut(step, closed)]
        self._read_links(todo)
        self._narration = []
        done: list[TypedWord] = []
        for step in todo:
            system = self._company.systems[step.side]
            with system.tables.transaction():
                done += self._ACTS[step.verb](self, step)
        return done

    def _shut(self, step: Step, closed: str | None) -> bool:
        if step.side != closed:
            return False
        emulators = self._company.emulators[step.side].values()
        return any(emulator.shape.facts.lock == "none" for emulator in emulators)

    def _read_links(self, steps: Sequence[Step]) -> None:
        wanted: dict[tuple[str, str], list[str]] = {}
        for step in steps:
            emulator = self._company.emulator(step.side, step.entity)
            key = self._company.key(step.side, step.entity, step.subject)
            if emulator is not None and key is not None and step.verb != "create":
                wanted.setdefault((step.side, emulator.stream), []).append(key)
        self._links = {}
        for (side, stream), keys in wanted.items():
            found = self._known(side, stream, keys)
            self._links |= {(side, stream, key): found.get(key) for key in keys}

    # --- what they do ---------------------------------------------------------------------------

    def _create(self, step: Step) -> list[TypedWord]:
        emulator = self._company.emulator(step.side, step.entity)
        if emulator is None or self._company.key(step.side, step.entity, step.subject):
            return []
        values = self._new_values(emulator, step)
        return [] if values is None else self._make(emulator, step, step.subject, values)

    def _new_values(self, emulator: Emulator, step: Step) -> Values | None:
        values: Values = {}
        for index, path in enumerate(emulator.typed):
            if (step.pick >> index) & 1 or path in _ALWAYS:
                values[path] = self._word(emulator, path, step, index)
        if emulator.entity.name == "opportunity":
            values |= {"stage": "open", "currency": "EUR", "close_date": "2026-03-31"}
        if emulator.entity.name == "sales_order":
            values |= {"description": step.subject.upper(), "currency": "EUR"}
        if step.other:
            for path, entity in emulator.entity.references().items():
                if entity != "company" or path not in emulator.spoken.columns.by_path:
                    continue
                parent = self._company.key(step.side, "company", step.other)
                if parent is None:
                    return None  # this system does not have the company yet
                values[path] = parent
        values |= self._lines(emulator, step)
        return {p: v for p, v in values.items() if p in emulator.typed or emulator.can_say(p, v)}

    def _lines(self, emulator: Emulator, step: Step) -> Values:
        if "lines" not in emulator.spoken.lists:
            return {}
        articles = self._company.keys.get((step.side, "product"), {})
        names = list(articles) if len(articles) < 50 else list(articles)[:50]
        values: Values = {}
        for turn in range(min(1 + step.pick % 2, len(names))):
            subject = names[(step.pick // 7 + turn) % len(names)]
            key = tag_of("text", subject)
            values |= {
                f"lines[{key}].product": articles[subject],
                f"lines[{key}].quantity": str(1 + step.pick % 9),
                f"lines[{key}].unit_price": "10.5",
            }
        return {p: v for p, v in values.items() if _mapped(emulator, p)}

    def _edit(self, step: Step) -> list[TypedWord]:
        emulator, row = self._look(step)
        if emulator is None or row is None or not emulator.typed:
            return []
        paths = emulator.typed if step.verb == "edit" else self._common(step)
        if not paths:
            return []
        path = paths[step.pick % len(paths)]
        return self._write(emulator, step, row, {path: self._word(emulator, path, step, 0)})

    def _common(self, step: Step) -> list[str]:
        """Returns the fields that users of every system may type into."""
        emulators = [self._company.emulator(side, step.entity) for side in self._company.systems]
        there = [emulator.typed for emulator in emulators if emulator is not None]
        return [path for path in there[0] if all(path in typed for typed in there)]

    def _blank(self, step: Step) -> list[TypedWord]:
        emulator, row = self._look(step)
        optional = [
            p for p in (emulator.typed if emulator else ()) if p not in ("name", "last_name")
        ]
        if emulator is None or row is None or not optional:
            return []
        return self._write(emulator, step, row, {optional[step.pick % len(optional)]: None})

    def _delete(self, step: Step) -> list[TypedWord]:
        emulator, row = self._look(step)
        if emulator is None or row is None:
            return []
        self._company.disturbed.add(step.subject)
        gone = self._company.systems[step.side].pen(emulator.stream).delete(row.key)
        self._company.remove_record(step.side, step.entity, step.subject)
        self._note_end("delete", emulator, step, row, at=self._at(step, gone))
        return [TypedWord(emulator, row.key, step.subject)]

    def _merge(self, step: Step) -> list[TypedWord]:
        emulator, row = self._look(step)
        into = self._company.key(step.side, step.entity, step.other)
        if emulator is None or row is None or into is None:
            return []
        system = self._company.systems[step.side]
        survivor = system.row(emulator.stream, into)
        if survivor is None or survivor.fate != "live":
            return []
        self._company.disturbed |= {step.subject, step.other}
        self._company.merged |= {step.subject, step.other}
        merged = system.pen(emulator.stream).merge(row.key, into=into)
        lives = merged.key
        self._company.remove_record(step.side, step.entity, step.subject)
        self._note_end("merge", emulator, step, row, at=self._at(step, merged))
        if lives != into:  # both continue as a third record
            self._company.remove_record(step.side, step.entity, step.other)
            self._company.add_record(step.side, step.entity, step.other, lives)
            self._history.moved((step.side, emulator.stream, into), lives)
        return [TypedWord(emulator, row.key, step.subject), TypedWord(emulator, lives, step.other)]

    def _win(self, step: Step) -> list[TypedWord]:
        emulator, row = self._look(step)
        if emulator is None or row is None or "stage" not in emulator.spoken.columns.by_path:
            return []
        if emulator.at(json.loads(row.payload), "stage") == "won":
            return []
        return self._write(emulator, step, row, {"stage": "won"})

    def _handle(self, step: Step) -> list[TypedWord]:
        """Numbers, advances, ships or bills an order, or books its payment: one step at a time."""
        emulator, row = self._look(step)
        if emulator is None or row is None:
            return []
        shows = emulator.read(json.loads(row.payload))
        if shows.get("number") is None:
            return self._write(emulator, step, row, self._numbered(emulator, step))
        for entity, letter in (
            ("production_order", "m"),
            ("shipment", "v"),
            ("invoice", "i"),
            ("payment", "z"),
        ):
            paper = self._company.emulator(step.side, entity)
            subject = letter + step.subject
            if paper is not None and self._company.key(step.side, entity, subject) is None:
                return self._make(paper, step, subject, self._paper(paper, step, shows, row.key))
        moves = {"state": "done", "shipment_state": "shipped", "invoice_state": "paid"}
        moved: Values = {p: v for p, v in moves.items() if _mapped(emulator, p)}
        if shows.get("state") not in ("confirmed", "processing"):
            return []
        return self._write(emulator, step, row, moved)

    def _numbered(self, emulator: Emulator, step: Step) -> Values:
        values: Values = {"number": tag_of("text", step.subject)}
        for index, path in enumerate(("untaxed", "tax", "total")):
            if _mapped(emulator, path):
                values[path] = word("decimal", step.number * _WORDS + index)
        return values

    def _paper(self, paper: Emulator, step: Step, order: Values, key: str) -> Values:
        """Creates a document of an order."""
        number = step.number * _WORDS
        invoice = self._company.key(step.side, "invoice", "i" + step.subject)
        values: Values = {
            "company": order.get("company"),
            "sales_order": key,
            "invoice": invoice,
            "state": {"invoice": "posted", "payment": "succeeded"}.get(paper.entity.name, "done"),
            "quantity": word("decimal", number),
            "currency": "EUR",
            "total": word("decimal", number + 1),
            "paid": word("decimal", number + 2),
            "amount": word("decimal", number + 3),
        }
        return {
            p: v
            for p, v in values.items()
            if v is not None and _mapped(paper, p) and paper.can_say(p, v)
        }

    #: Verb of a step -> how it is carried out.
    _ACTS: ClassVar[Mapping[str, Callable[[WorkloadRunner, Step], list[TypedWord]]]] = {
        "create": _create,
        "edit": _edit,
        "quarrel": _edit,
        "blank": _blank,
        "delete": _delete,
        "merge": _merge,
        "win": _win,
        "handle": _handle,
    }

    # --- how it is done -------------------------------------------------------------------------

    def _look(self, step: Step) -> tuple[Emulator | None, Row | None]:
        emulator = self._company.emulator(step.side, step.entity)
        key = self._company.key(step.side, step.entity, step.subject)
        if emulator is None or key is None:
            return None, None
        row = self._company.systems[step.side].row(emulator.stream, key)
        return emulator, row if row is not None and row.fate == "live" else None

    def _word(self, emulator: Emulator, path: str, step: Step, index: int) -> str:
        kind = emulator.entity.fields[path].kind
        return word(kind, step.number * _WORDS + index)

    def _make(
        self, emulator: Emulator, step: Step, subject: str, values: Values
    ) -> list[TypedWord]:
        assert emulator.tag is not None
        named = {**values, emulator.tag: tag_of(emulator.entity.fields[emulator.tag].kind, subject)}
        if subject.startswith("o"):  # never created by users
            return []
        system = self._company.systems[step.side]
        row = system.pen(emulator.stream).create(
            emulator.payload(named), external_id=None, key=None
        )
        others = (
            c for (c, e) in self._company.keys if e == emulator.entity.name and c != step.side
        )
        if any(self._company.key(c, emulator.entity.name, subject) for c in others):
            self._company.shared.add(subject)
        self._company.add_record(step.side, emulator.entity.name, subject, row.key)
        self._note(emulator, step, row, subject=subject, values=values, before={})
        return [TypedWord(emulator, row.key, subject)]

    def _write(self, emulator: Emulator, step: Step, row: Row, values: Values) -> list[TypedWord]:
        before: dict[str, Any] = json.loads(row.payload)
        patch = emulator.patch(values, before)
        if not patch:
            return []
        system = self._company.systems[step.side]
        after = system.pen(emulator.stream).change(row.key, patch)
        self._note(emulator, step, after, subject=step.subject, values=values, before=before)
        return [TypedWord(emulator, row.key, step.subject)]

    def _note(
        self,
        emulator: Emulator,
        step: Step,
        row: Row,
        *,
        subject: str,
        values: Values,
        before: Mapping[str, Any],
    ) -> None:
        number, at = step.number - self._first, self._at(step, row)
        self._history.act(
            HistoryEvent(number, at, step.verb, subject, step.side, emulator.stream, row.key)
        )
        self._count += 1
        said = ", ".join(f"{p} = {'blank' if v is None else v}" for p, v in values.items())
        self._narration.append(
            f"{step.side}: {step.verb} {emulator.stream} {row.key} ({subject}): {said}"
        )
        link = self._links.get((step.side, emulator.stream, row.key))
        for path, value in values.items():
            if emulator.mapping.references.get(path) or "[" in path or not _counts(emulator, path):
                continue
            old = emulator.at(before, path) if before else None
            read = old is None or (link is not None and link.state.seen_at(path) == old)
            typed = TypedValue(
                *(number, subject, step.side, emulator.stream, row.key, path),
                value=emulator.shows(path, value),
                unread=not read,
                unique=path in emulator.typed and value is not None,
            )
            line = self._history.typed(typed)
            for listener in self.listeners:
                listener(line, typed, at)

    def _at(self, step: Step, row: Row) -> float:
        return happened_at(self._company.systems[step.side], row)

    def _note_end(self, verb: str, emulator: Emulator, step: Step, row: Row, *, at: float) -> None:
        link = self._links.get((step.side, emulator.stream, row.key))
        read = link is not None and link.version == str(row.version)
        number, newest = step.number - self._first, self._company.systems[step.side].tables.newest
        said = verb if read else f"{verb} unread"
        self._count += 1
        what = f" into {step.other}" if verb == "merge" else ""
        self._narration.append(
            f"{step.side}: {verb} {emulator.stream} {row.key} ({step.subject}){what}"
        )
        where = (step.side, emulator.stream, row.key)
        self._history.act(
            HistoryEvent(number, at, said, step.subject, *where, newest(emulator.stream))
        )


def _counts(emulator: Emulator, path: str) -> bool:
    """Returns True if the hub's mapping reads this field, so that a value typed into it counts."""
    column = emulator.spoken.columns.by_path.get(path)
    return column is not None and emulator.mapping.mapped(path)


def _mapped(emulator: Emulator, path: str) -> bool:
    name, bracket, rest = path.partition("[")
    if bracket:
        leaf = rest.rpartition("].")[2]
        items = emulator.spoken.lists.get(name)
        return items is not None and leaf in items.columns.by_path
    return path in emulator.spoken.columns.by_path


def happened_at(system: MemorySystem, row: Row) -> float:
    """Returns when a row changed, in seconds since the epoch, by a correct clock."""
    return datetime.fromisoformat(row.modified_at).timestamp() - system.faults.skew
