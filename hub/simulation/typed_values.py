"""What users type: the values of new records, of documents and of single fields. Pure.

No two values are the same, so that each can be found again.
"""

from __future__ import annotations

from hub.simulation.company_systems import Company
from hub.simulation.emulators import Emulator, tag_of, word
from hub.simulation.workload import Step
from mappings.canonical.values import Values

#: Values of one step start at its number times this.
_WORDS = 16
#: Fields that every new record gets: names, and the address that a deal needs to become an order.
_ALWAYS = frozenset(("name", "last_name", "address.street", "address.city"))


def new_values(company: Company, emulator: Emulator, step: Step) -> Values | None:
    """Returns what a user enters for a new record; None when the company is not there yet."""
    values: Values = {}
    for index, path in enumerate(emulator.typed):
        if (step.pick >> index) & 1 or path in _ALWAYS:
            values[path] = word_of(emulator, path, step, index=index)
    if emulator.entity.name == "opportunity":
        values |= {"stage": "open", "currency": "EUR", "close_date": "2026-03-31"}
    if emulator.entity.name == "sales_order":
        values |= {"description": step.subject.upper(), "currency": "EUR"}
    if step.other:
        for path, entity in emulator.entity.references().items():
            if entity != "company" or path not in emulator.spoken.columns.by_path:
                continue
            parent = company.key(step.side, "company", step.other)
            if parent is None:
                return None  # this system does not have the company yet
            values[path] = parent
    values |= _lines(company, emulator, step)
    return {p: v for p, v in values.items() if p in emulator.typed or emulator.can_say(p, v)}


def _lines(company: Company, emulator: Emulator, step: Step) -> Values:
    if "lines" not in emulator.spoken.lists:
        return {}
    articles = company.keys.get((step.side, "product"), {})
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
    return {p: v for p, v in values.items() if mapped(emulator, p)}


def numbers_of(emulator: Emulator, step: Step) -> Values:
    """Returns the number and the totals that an order gets."""
    values: Values = {"number": tag_of("text", step.subject)}
    for index, path in enumerate(("untaxed", "tax", "total")):
        if mapped(emulator, path):
            values[path] = word("decimal", step.number * _WORDS + index)
    return values


def document(company: Company, paper: Emulator, step: Step, *, order: Values, key: str) -> Values:
    """Creates a document of an order."""
    number = step.number * _WORDS
    invoice = company.key(step.side, "invoice", "i" + step.subject)
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
        if v is not None and mapped(paper, p) and paper.can_say(p, v)
    }


def word_of(emulator: Emulator, path: str, step: Step, *, index: int = 0) -> str:
    """Returns a value for a field that no other step types."""
    kind = emulator.entity.fields[path].kind
    return word(kind, step.number * _WORDS + index)


def mapped(emulator: Emulator, path: str) -> bool:
    """Returns True if the system stores this field."""
    name, bracket, rest = path.partition("[")
    if bracket:
        leaf = rest.rpartition("].")[2]
        items = emulator.spoken.lists.get(name)
        return items is not None and leaf in items.columns.by_path
    return path in emulator.spoken.columns.by_path
