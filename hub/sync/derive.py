"""Runs the flows: loads what they need to see, stores what they say. Decides nothing itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection as Transaction

from hub.flows import activities, figures, orders
from hub.flows.facts import Blocked, Derived, Fact
from hub.model.causes import Cause
from hub.model.observe import Change
from hub.model.recovery import pause
from hub.model.wanted import forward
from hub.store import dirty, merges, quarantine
from hub.store.engine import lock_identities
from hub.store.golden import Golden, golden_by_entity, load_golden
from hub.store.quarantine import Problem
from hub.store.references import referring
from hub.sync.changeset import ChangeSet
from hub.sync.context import Hub
from mappings.canonical.values import Values

_PORTION = 200
_ORDER_FLOW = "won_deal_to_order"
#: Entities whose flows want to know that a record cannot be written now, and why.
EXPLAINED = frozenset({"sales_order"})
#: Derivations that follow from each other; a deal that becomes an invoice needs four.
_MOST_HOPS = 16
#: Letters about chains without end.
_CHAIN = "chain"
#: What quarantine entries of flows are about.
FLOW_SOURCES = (_ORDER_FLOW, _CHAIN)


def derive(hub: Hub) -> int:
    """Runs the flows that are due; returns how many golden records they made or changed."""
    changed = 0
    while (done := hub.store.transact(lambda tx: _portion(hub, tx))) is not None:
        changed += done
    return changed


def _portion(hub: Hub, tx: Transaction) -> int | None:
    """Derives some of what is due; returns how much changed, None when nothing was due."""
    lock_identities(tx, "derive")
    marks, hops = dirty.due(tx, limit=_PORTION)
    waiting = quarantine.due(tx, "flow", now=hub.clock(), limit=_PORTION)
    if not marks and not waiting:
        return None
    if hops > _MOST_HOPS:
        _break_chain(hub, tx, marks)
        return 0
    work = _Derivation(hub, tx, hops=hops + 1)
    work.look_at([*marks, *(entry.key for entry in waiting)])
    dirty.clear(tx, marks)
    for entry in waiting:  # those that went through are gone from the table by now
        later = hub.clock() + pause(entry.attempts)
        quarantine.postpone(tx, [entry.id], due_at=later)
    return work.changed


def _break_chain(hub: Hub, tx: Transaction, marks: dict[str, float]) -> None:
    """Ends derivations that change each other without coming to rest; a person should look."""
    held = [
        Problem(
            "flow",
            _CHAIN,
            golden.entity,
            golden.id,
            "held",
            Cause.OSCILLATION,
            f"{golden.entity.replace('_', ' ')} {golden.values.get('name') or golden.id!r}: flows"
            f" have changed it {_MOST_HOPS} times in a row without coming to rest; look at `flows:`"
            " and at the policies of its fields, then replay this letter",
            "ChainError",
        )
        for golden in load_golden(tx, marks).values()
    ]
    quarantine.put(tx, held, now=hub.clock())
    dirty.clear(tx, marks)


def age(hub: Hub) -> None:
    """Makes the flows look at open invoices again, because a day has passed."""
    after = ""
    while True:
        with hub.store.read() as tx:
            portion = golden_by_entity(tx, "invoice", after=after, limit=_PORTION)
        if not portion:
            return
        after = portion[-1].id
        due = [
            g.id
            for g in portion
            if figures.is_overdue(Fact(g.id, g.entity, g.values), hub.clock().date())
        ]
        if due:
            with hub.store.begin() as tx:
                dirty.mark(tx, due, now=hub.clock())


@dataclass
class _Derivation:
    hub: Hub
    tx: Transaction
    hops: int = 0
    changed: int = 0
    then: ChangeSet = field(init=False)
    _known: dict[str, Golden] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now: datetime = self.hub.clock()
        self.run = self.hub.fresh_id()
        self.then = ChangeSet(self.hub, self.run, self.now, self.hops)

    def look_at(self, ids: Sequence[str]) -> None:
        """Runs the flows that these golden records concern."""
        alive = self._load(ids)
        self._end_chains(self._known[i] for i in ids if i in self._known)
        companies: dict[str, None] = {}
        sales: dict[str, None] = {}
        for golden in (self._known[i] for i in ids if i in self._known and i not in alive):
            # Deleted or merged: whatever it belonged to is counted without it.
            companies[str(golden.values.get("company") or "")] = None
            sales[str(golden.values.get("sales_order") or "")] = None
            self._end_waiting(golden)
        for golden in alive.values():
            match golden.entity:
                case "company":
                    companies[golden.id] = None
                case "opportunity":
                    self._order(golden)
                case "sales_order":
                    sales[golden.id] = None
                case "production_order" | "shipment":
                    sales[str(golden.values.get("sales_order") or "")] = None
                case "invoice":
                    companies[str(golden.values.get("company") or "")] = None
                    self._reminder(golden)
                case _:
                    pass
        orders_found = self._load(sales)
        self._explain_waiting(orders_found.values())
        for order in orders_found.values():
            self._progress(order)
            companies[str(order.values.get("company") or "")] = None
        self._figures([c for c in companies if c])
        self.then.store(self.tx)

    def _end_chains(self, looked_at: Iterable[Golden]) -> None:
        """What is derived anew is given another chance to come to rest."""
        by_entity: dict[str, list[str]] = {}
        for golden in looked_at:
            by_entity.setdefault(golden.entity, []).append(golden.id)
        for entity, keys in by_entity.items():
            quarantine.resolve(self.tx, "flow", _CHAIN, stream=entity, keys=keys)

    # --- loading --------------------------------------------------------------------------------

    def _load(self, ids: Iterable[str]) -> dict[str, Golden]:
        wanted = [i for i in dict.fromkeys(ids) if i]
        missing = [i for i in wanted if i not in self._known]
        self._known |= load_golden(self.tx, missing, lock=True)
        alive = (self._known[i] for i in wanted if i in self._known)
        return {g.id: g for g in alive if g.merged_into is None and g.deleted_at is None}

    def _fact(self, golden_id: object) -> Fact | None:
        found = self._load([str(golden_id or "")])
        golden = next(iter(found.values()), None)
        return None if golden is None else _fact(golden)

    def _children(self, parent: str, entity: str, path: str) -> list[Fact]:
        ids = referring(self.tx, [parent], path).get(parent, [])
        return [_fact(g) for g in self._load(ids).values() if g.entity == entity]

    # --- flows ----------------------------------------------------------------------------------

    def _order(self, golden: Golden) -> None:
        """A won deal: its order, or the reason why there is none yet."""
        deal = _fact(golden)
        if deal.values.get("stage") != "won":
            self._end_waiting(golden)
            return
        lines = deal.items("lines").values()
        products = {
            g.id: _fact(g)
            for g in self._load(str(line.get("product") or "") for line in lines).values()
        }
        said = orders.won_deal_to_order(
            deal,
            self._fact(deal.values.get("company")),
            self._order_of(deal.id),
            products=products,
            settings=self.hub.flows,
        )
        if isinstance(said, Blocked):
            self._block(deal, said)
            return
        self._end_waiting(golden)
        if said is not None:
            self._store(said)

    def _end_waiting(self, golden: Golden) -> None:
        """A deal that has its order, or is none that is won any more, waits for nothing."""
        if golden.entity == "opportunity":
            quarantine.resolve(self.tx, "flow", _ORDER_FLOW, stream=golden.entity, keys=[golden.id])

    def _order_of(self, deal: str) -> Fact | None:
        """Returns the order that a deal has become, or that of a deal that was merged into it."""
        own = self._fact(orders.order_id(deal))
        if own is not None:
            return own
        others = {order.id: order for order in self._children(deal, "sales_order", "opportunity")}
        lost = merges.losers(self.tx, deal) if others else ()
        ids = (orders.order_id(loser) for loser in lost)
        return next((others[i] for i in ids if i in others), None)

    def _block(self, deal: Fact, blocked: Blocked) -> None:
        problem = Problem(
            "flow",
            _ORDER_FLOW,
            "opportunity",
            deal.id,
            "waiting",
            Cause.BLOCKED_FLOW,
            f"deal {deal.text('name') or deal.id!r}: {blocked.reason}",
            waits_for=blocked.waits_for,
        )
        quarantine.put(self.tx, [problem], now=self.now, due_at=self.now + pause(0))
        self.note_on_deals({deal.id: blocked.reason})

    def note_on_deals(self, reasons: Mapping[str, str]) -> None:
        """Tells the people who sell why their deals wait: {deal: reason}."""
        notes = [
            activities.waiting_note(
                _fact(deal), reasons[deal.id], now=self.now, settings=self.hub.flows
            )
            for deal in self._load(reasons).values()
        ]
        known = load_golden(self.tx, [note.id for note in notes if note is not None])
        for note in notes:
            if note is not None and note.id not in known:
                self._store(note)

    def _explain_waiting(self, found: Iterable[Golden]) -> None:
        """Turns the reasons of orders that the ERP does not have yet into notes on their deals."""
        deals = {order.id: str(order.values.get("opportunity") or "") for order in found}
        reasons: dict[str, str] = {}
        for name, connection in self.hub.connections.items():
            if deals and connection.role in ("erp", "both"):
                waiting = quarantine.write_reasons(self.tx, name, deals)
                reasons |= {deals[order]: reason for order, reason in waiting.items()}
        self.note_on_deals(reasons)

    def _progress(self, golden: Golden) -> None:
        """An order: production state, what the deal shows, and the thank-you."""
        productions = self._children(golden.id, "production_order", "sales_order")
        state = orders.production_state(productions)
        self._change(golden, {"production_state": state}, flow="flow:progress")
        order = _fact(golden)
        deal = self._fact(golden.values.get("opportunity"))
        if deal is not None and self.hub.flows.figures and self._shows(deal, order):
            self._change(self._known[deal.id], orders.order_on_deal(order), flow="flow:progress")
        company = self._fact(golden.values.get("company"))
        today = self.now.date()
        self._once(activities.thank_you(order, deal, company, today=today, settings=self.hub.flows))

    def _shows(self, deal: Fact, order: Fact) -> bool:
        """Says whether a deal shows this order: of several, the one that it has become."""
        own = self._order_of(deal.id)
        return own is None or own.id == order.id

    def _reminder(self, golden: Golden) -> None:
        order = self._fact(golden.values.get("sales_order"))
        deal = None if order is None else self._fact(order.values.get("opportunity"))
        company = self._fact(golden.values.get("company"))
        self._once(
            activities.overdue_reminder(
                _fact(golden), deal, company, today=self.now.date(), settings=self.hub.flows
            )
        )

    def _figures(self, companies: Iterable[str]) -> None:
        if not self.hub.flows.figures:
            return
        for golden in self._load(companies).values():
            sales = self._children(golden.id, "sales_order", "company")
            productions = [
                p for o in sales for p in self._children(o.id, "production_order", "sales_order")
            ]
            invoices = self._children(golden.id, "invoice", "company")
            values = figures.company_figures(sales, invoices, productions, today=self.now.date())
            self._change(golden, values, flow="flow:figures")

    # --- storing --------------------------------------------------------------------------------

    def _once(self, derived: Derived | None) -> None:
        """Stores something that is made once and then belongs to people."""
        if derived is not None and not load_golden(self.tx, [derived.id]):
            self._store(derived)

    def _store(self, derived: Derived) -> None:
        known = self._load([derived.id]).get(derived.id)
        if known is not None:
            self._change(known, derived.values, flow=derived.flow)
            return
        if load_golden(self.tx, [derived.id]):
            return  # deleted: it stays deleted
        golden = Golden(
            id=derived.id,
            entity=derived.entity,
            values={p: v for p, v in derived.values.items() if v is not None},
            origin=derived.flow,
            origins={},
            created_at=self.now,
            changed_at=self.now,
            run=self.run,
        )
        self._known[golden.id] = golden
        self.then.born(golden)
        self.changed += 1

    def _change(self, golden: Golden, values: Values, *, flow: str) -> None:
        """Sets what is different; states only move forward."""
        states = self.hub.entities[golden.entity].states
        different: Values = {
            path: value
            for path, value in values.items()
            if golden.values.get(path) != value
            and forward(states, path, golden.values.get(path), value)
        }
        if not different:
            return
        changes = [
            Change(path, golden.values.get(path), value, "taken", flow)
            for path, value in different.items()
        ]
        self.then.history(golden.id, changes, connection=flow)
        self.then.set_values(golden, different, origin=flow, at=self.now)
        self.changed += 1


def _fact(golden: Golden) -> Fact:
    return Fact(golden.id, golden.entity, golden.values)
