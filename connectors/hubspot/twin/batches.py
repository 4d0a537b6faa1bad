"""Routes of up to 100 records at once: read, create, update, upsert, archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from connectors.hubspot.twin.calls import Call, Reply, batch_reply, text_field
from connectors.hubspot.twin.error_bodies import Refusal, invalid, missing_rows, throttled
from connectors.hubspot.twin.objects import Row, drafts_of, properties_of
from connectors.hubspot.twin.render import View, show, written
from connectors.hubspot.twin.stored_record import Record

TRACE = "objectWriteTraceId"


def batch_read(call: Call) -> Reply:
    """Answers many records by id or unique property; missing ones in one error row, status 207."""
    body, inputs = call.json(), call.inputs()
    view = View(body.get("properties") or (), body.get("propertiesWithHistory") or ())
    by, archived = body.get("idProperty"), call.flag("archived")
    if view.history and len(inputs) > 50:
        raise invalid("At most 50 inputs are allowed with propertiesWithHistory")
    found: dict[int, Record] = {}
    missing: list[str] = []
    for key in dict.fromkeys(text_field(row, "id") for row in inputs):
        record = call.account.find(call.kind, key, by=by, archived=archived)
        if record is None:
            missing.append(key)
        else:
            found[record.id] = record
    errors = [missing_rows(call.kind.facts.singular, missing)] if missing else []
    return batch_reply(call, [show(call.account, r, view) for r in found.values()], errors)


def _refuse_twins(keys: list[str]) -> None:
    twice = [key for key, times in Counter(keys).items() if times > 1]
    if twice:
        raise invalid(
            f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique"
        )


def _traced(inputs: list[Row]) -> bool:
    """Returns True if partial success is wanted: every input has its own trace id."""
    traces = [row.get(TRACE) for row in inputs]
    return bool(traces) and None not in traces and len({*traces}) == len(traces)


def _each(
    call: Call, write: Callable[[Row], Row], *, good: int, check: Callable[[Row], Any] | None = None
) -> Reply:
    """Writes one input after the other: all or nothing, or 207 when each carries a trace id.

    quirk(hubspot): multi-status is opt-in by `objectWriteTraceId` (docs: error handling).
    """
    inputs = call.inputs()
    traced = _traced(inputs)
    results: list[Row] = []
    errors: list[Row] = []
    if not traced and check is not None:
        for row in inputs:
            check(row)
    for row in inputs:
        fate = call.account.data_faults.row() if traced else "done"
        try:
            if fate == "refused":
                raise _put_off()
            shown = write(row)
        except Refusal as refusal:
            if not traced:
                raise
            context = {TRACE: [str(row[TRACE])]}
            if "id" in row:
                context["id"] = [str(row["id"])]
            errors.append(refusal.row(context))
            continue
        if fate != "silent":
            results.append({**shown, TRACE: row[TRACE]} if TRACE in row else shown)
    return batch_reply(call, results, errors, good=good)


def _put_off() -> Refusal:
    """Refuses one row of a batch for now, as the fault `partial` does."""
    return throttled("TEN_SECONDLY_ROLLING", "You have reached your ten_secondly_rolling limit.")


def batch_create(call: Call) -> Reply:
    """Makes many records."""
    account, kind = call.account, call.kind

    def check(row: Row) -> None:
        account.validation.rehearse(kind, properties_of(row))
        drafts_of(call, row)

    def write(row: Row) -> Row:
        record = account.create(kind, properties_of(row), links=drafts_of(call, row))
        return written(record, record.values)

    _refuse_twin_values(call)
    return _each(call, write, good=201, check=check)


def _refuse_twin_values(call: Call) -> None:
    """Refuses two inputs of an all-or-nothing batch that claim one unique value."""
    inputs = call.inputs()
    if _traced(inputs):
        return
    for name, prop in call.kind.properties.items():
        if prop.unique:
            values = [str(row["properties"][name]) for row in inputs if _has(row, name)]
            _refuse_twins(values)


def _has(row: Row, name: str) -> bool:
    return bool(isinstance(row.get("properties"), dict) and row["properties"].get(name))


def batch_update(call: Call) -> Reply:
    """Changes many records; unknown ids come back in one error row, the others are changed."""
    account, kind, inputs = call.account, call.kind, call.inputs()
    _refuse_twins([text_field(row, "id") for row in inputs])
    known: list[tuple[Row, Record]] = []
    lost: list[Row] = []
    for row in inputs:
        record = account.find(kind, text_field(row, "id"), by=row.get("idProperty"))
        if record is None:
            lost.append(row)
        else:
            known.append((row, record))
    traced = _traced(inputs)
    if not traced:
        for row, record in known:
            account.validation.rehearse(kind, properties_of(row), record)
    results: list[Row] = []
    errors: list[Row] = []
    for row, record in known:
        fate = account.data_faults.row() if traced else "done"
        try:
            if fate == "refused":
                raise _put_off()
            changed = account.update(record, properties_of(row))
        except Refusal as refusal:
            if not traced:
                raise
            errors.append(refusal.row({"id": [str(row["id"])], TRACE: [str(row[TRACE])]}))
            continue
        shown = written(record, changed)
        if fate != "silent":
            results.append({**shown, TRACE: row[TRACE]} if TRACE in row else shown)
    return batch_reply(call, results, errors + _lost_rows(call, lost))


def _lost_rows(call: Call, lost: list[Row]) -> list[Row]:
    if not lost:
        return []
    error = missing_rows(call.kind.facts.singular, [text_field(row, "id") for row in lost])
    traces = [str(row[TRACE]) for row in lost if TRACE in row]
    if traces:
        error["context"][TRACE] = traces
    return [error]


def batch_upsert(call: Call) -> Reply:
    """Changes the records that have a unique value, and makes the others; `new` says which."""
    account, kind, inputs = call.account, call.kind, call.inputs()
    _refuse_twins([text_field(row, "id").lower() for row in inputs])

    def split(row: Row) -> tuple[Record | None, Row]:
        by = row.get("idProperty")
        record = account.find(kind, text_field(row, "id"), by=by)
        values = dict(properties_of(row))
        if by and by != "hs_object_id":
            values.setdefault(by, text_field(row, "id"))
        elif record is None:
            raise invalid(f"No {kind.facts.singular} with id {row['id']}; an idProperty is needed")
        return record, values

    def check(row: Row) -> None:
        record, values = split(row)
        account.validation.rehearse(kind, values, record)

    def write(row: Row) -> Row:
        record, values = split(row)
        if record is None:
            record = account.create(kind, values)
            return {**written(record, record.values), "new": True}
        changed = account.update(record, values)
        return {**written(record, changed), "new": False}

    return _each(call, write, good=200, check=check)


def batch_archive(call: Call) -> Reply:
    """Archives many records; unknown ones are passed over."""
    for row in call.inputs():
        record = call.account.find(call.kind, text_field(row, "id"))
        if record is not None:
            call.account.archive(record)
    return Reply(204)
