"""Carries out the workload's steps at the emulators and records every typed value in the history.

Every typed value is unique, so that it can be found again. The hub is only asked what it has read
so far: a user who overwrites a value that the hub has not read takes it back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from connectors.memory.storage_tables import Row
from hub.simulation.change_history import History
from hub.simulation.company_systems import Company
from hub.simulation.emulators import Emulator, tag_of
from hub.simulation.recording import Known, Recorder
from hub.simulation.typed_values import document, mapped, new_values, numbers_of, word_of
from hub.simulation.workload import Step
from mappings.canonical.values import Values


@dataclass(frozen=True, slots=True)
class TypedWord:
    """A record that a step has changed."""

    emulator: Emulator
    key: str
    subject: str


class WorkloadRunner:
    """The users, who carry out the workload."""

    def __init__(self, company: Company, history: History, known: Known, *, first: int) -> None:
        self._company, self._history = company, history
        self.recorder = Recorder(company, history, known, first=first)

    def carry_out(self, steps: Iterable[Step], *, closed: str | None = None) -> list[TypedWord]:
        """Carries out steps one after the other; returns what has changed.

        `closed` is the connection that the hub is writing to; where there is no lock, a value typed
        at that moment could not be saved.
        """
        todo = [step for step in steps if not self._shut(step, closed)]
        self.recorder.begin(todo)
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

    # --- what they do ---------------------------------------------------------------------------

    def _create(self, step: Step) -> list[TypedWord]:
        emulator = self._company.emulator(step.side, step.entity)
        if emulator is None or self._company.key(step.side, step.entity, step.subject):
            return []
        values = new_values(self._company, emulator, step)
        return [] if values is None else self._make(emulator, step, step.subject, values)

    def _edit(self, step: Step) -> list[TypedWord]:
        emulator, row = self._look(step)
        if emulator is None or row is None or not emulator.typed:
            return []
        paths = emulator.typed if step.verb == "edit" else self._common(step)
        if not paths:
            return []
        path = paths[step.pick % len(paths)]
        return self._write(emulator, step, row, {path: word_of(emulator, path, step)})

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
        self.recorder.note_end("delete", emulator, step, row=row, ended=gone)
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
        self.recorder.note_end("merge", emulator, step, row=row, ended=merged)
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
            return self._write(emulator, step, row, numbers_of(emulator, step))
        for entity, letter in (
            ("production_order", "m"),
            ("shipment", "v"),
            ("invoice", "i"),
            ("payment", "z"),
        ):
            paper = self._company.emulator(step.side, entity)
            subject = letter + step.subject
            if paper is not None and self._company.key(step.side, entity, subject) is None:
                values = document(self._company, paper, step, order=shows, key=row.key)
                return self._make(paper, step, subject, values)
        moves = {"state": "done", "shipment_state": "shipped", "invoice_state": "paid"}
        moved: Values = {p: v for p, v in moves.items() if mapped(emulator, p)}
        if shows.get("state") not in ("confirmed", "processing"):
            return []
        return self._write(emulator, step, row, moved)

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
        self.recorder.note(emulator, step, row, subject=subject, values=values, before={})
        return [TypedWord(emulator, row.key, subject)]

    def _write(self, emulator: Emulator, step: Step, row: Row, values: Values) -> list[TypedWord]:
        before: dict[str, Any] = json.loads(row.payload)
        patch = emulator.patch(values, before)
        if not patch:
            return []
        system = self._company.systems[step.side]
        after = system.pen(emulator.stream).change(row.key, patch)
        self.recorder.note(
            emulator, step, after, subject=step.subject, values=values, before=before
        )
        return [TypedWord(emulator, row.key, step.subject)]
