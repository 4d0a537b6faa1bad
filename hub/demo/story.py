"""The story of the demo: people work in both systems, and the hub keeps the two telling the same.

Changes the systems only as their people would, and the hub only through its use cases.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.tryton.office_day import Customer
from hub.demo import counts, customers
from hub.demo.catalogue import RAISED
from hub.demo.comparison import compare
from hub.demo.counts import Figures
from hub.demo.customers import Known
from hub.demo.narration import plain, short
from hub.demo.setting import Row, Stage, company_of
from hub.demo.systems import LONG_AGO
from hub.store.conflicts import list_conflicts
from hub.sync.operate.resolve import resolve_conflict

_PHONE = "+49 30 901820"
_ADDRESS = ("address", "zip", "city")


@dataclass(frozen=True, slots=True)
class Cast:
    """How many play along."""

    #: Of the CRM's customers, how many the ERP has as well.
    known: int
    #: Deals that are won; the last one lacks something.
    deals: int


@dataclass
class Story:
    """Tells itself part by part; every part builds on the ones before."""

    stage: Stage
    cast: Cast
    figures: Figures = field(default_factory=Figures)
    #: (CRM key, ERP key) of the customers whom both sides have from the start.
    _twice: list[tuple[str, str]] = field(default_factory=list)
    _deals: list[Row] = field(default_factory=list)
    #: What the company of the last deal lacks.
    _address: dict[str, str] = field(default_factory=dict)

    def tell(self) -> Figures:
        """Plays everything and returns the figures."""
        self._two_systems()
        self._first_sync()
        self._deals_are_won()
        self._what_was_missing()
        self._work_in_the_erp()
        self._both_edit()
        compare(self.stage, self.figures)
        return self.figures

    def _two_systems(self) -> None:
        stage, crm = self.stage, self.stage.world.crm
        stage.narration.step("Two systems, each with its own data")
        self._deals = stage.worth_winning(self.cast.deals)
        waiting = company_of(self._deals[-1])
        self._forget_address(waiting)
        companies = crm.objects("companies")
        people = {
            key: person
            for person in crm.objects("contacts")
            for key in person["associations"].get("companies", ())
        }
        others = [row for row in companies if row["id"] != waiting]
        known = customers.known(others, people, self.cast.known)
        own = list(customers.own(companies))
        self._enter(known, own)
        stage.show_counts()
        names = {row["id"]: row["properties"]["name"] for row in companies}
        stage.narration.say(
            f"{len(known)} customers are in both, written differently; {len(own)} are in Tryton"
            " alone. For example:"
        )
        stage.narration.show(
            ["HubSpot", "Tryton", "the same by"],
            [(short(names[one.key]), short(one.erp.name), one.by) for one in _one_of_each(known)],
        )

    def _forget_address(self, company: str) -> None:
        values = self.stage.company(company)
        self._address = {name: values[name] for name in _ADDRESS}
        self.stage.world.crm.edit("companies", company, **dict.fromkeys(_ADDRESS, ""))

    def _enter(self, known: list[Known], own: list[Customer]) -> None:
        for one in known:
            if one.crm:
                self.stage.world.crm.edit("companies", one.key, **one.crm)
        keys = self.stage.world.office.enter([*(one.erp for one in known), *own])
        self._twice = [(one.key, key) for one, key in zip(known, keys, strict=False)]

    def _first_sync(self) -> None:
        stage = self.stage
        stage.narration.step("The first sync: known customers are recognised, others travel")
        report = stage.sync()
        self.figures.matched_not_duplicated = counts.matched(stage.world, self._twice)
        stage.show_counts()
        stage.narration.say(
            f"{self.figures.matched_not_duplicated} of the {len(self._twice)} customers in both"
            f" were recognised and not doubled. {report.written} records were written. Prices are"
            f" the ERP's: HubSpot has the new ones of {' and '.join(sorted(RAISED))}."
        )

    def _deals_are_won(self) -> None:
        stage = self.stage
        stage.narration.step(f"{len(self._deals)} deals are won in HubSpot")
        for deal in self._deals:
            stage.world.crm.edit("deals", deal["id"], dealstage="closedwon")
        stage.sync()
        stage.show_deals(self._deals)
        self._count_orders()
        stage.narration.say(
            f"Tryton has {self.figures.orders} confirmed orders. What is made to order is planned"
            f" already: {self.figures.productions} productions."
        )

    def _count_orders(self) -> None:
        self.figures.orders = len(self.stage.orders())
        self.figures.productions = len(counts.everyone(self.stage.world.hub, "production_order"))

    def _what_was_missing(self) -> None:
        stage, crm = self.stage, self.stage.world.crm
        stage.narration.step("One deal waits, is completed, and continues without help")
        for note in crm.objects("notes"):
            stage.narration.say(f"Note in HubSpot: {plain(note['properties']['hs_note_body'])}")
        crm.edit("companies", company_of(self._deals[-1]), **self._address)
        street, code, city = (self._address[name] for name in _ADDRESS)
        stage.narration.say(f"A salesperson fills in {street}, {code} {city}; the next sync:")
        stage.sync()
        self._count_orders()
        stage.show_deals(self._deals[-1:])

    def _work_in_the_erp(self) -> None:
        stage, office = self.stage, self.stage.world.office
        stage.narration.step("A day in the ERP: make, ship, bill, get paid")
        sales = list(office.sales(stage.orders()).values())
        half = len(sales) // 2
        done, begun = sales[:half], sales[half : half + 2]
        late = office.bill(done[:1], stage.today - LONG_AGO)
        productions = office.make(done)
        running = office.begin(begun)
        shipments = office.ship(done)
        bills = office.bill(done[1:], stage.today)
        office.get_paid(bills[0])
        stage.narration.say(
            f"In Tryton {productions} productions are done and {running} have begun,"
            f" {shipments} deliveries have left, {len(late) + len(bills)} invoices are posted."
            " One is paid; one is old and overdue. After the next sync HubSpot says:"
        )
        stage.sync()
        self.figures.invoices = len(stage.posted())
        stage.show_deals(self._deals)
        stage.show_balances()
        tasks = {row["properties"]["hs_task_subject"] for row in stage.world.crm.objects("tasks")}
        stage.narration.show(["new tasks of the salespeople"], [(task,) for task in sorted(tasks)])

    def _both_edit(self) -> None:
        stage, office = self.stage, self.stage.world.office
        stage.narration.step("One customer is edited on both sides")
        key, party = self._shortest()
        values = stage.company(key)
        name = values["name"]
        stage.world.crm.edit("companies", key, name=f"{name} Group", phone=_PHONE)
        office.rename(party, f"{name} Europe")
        office.write_email(party, f"accounts@{values['domain']}")
        stage.narration.say(
            f"{name}: HubSpot gets another name and telephone, Tryton another name and e-mail."
            " After the next sync both have the new telephone and e-mail, and the name waits for"
            " a person:"
        )
        stage.sync()
        self._show_edited(key, party)
        self._decide()
        stage.sync()
        self._show_edited(key, party)

    def _shortest(self) -> tuple[str, str]:
        """Returns the keys of a customer, fit for the telephone number, who fits into a table."""
        names = {keys: self.stage.company(keys[0]) for keys in self._twice}
        near = [keys for keys, values in names.items() if values["country"] in ("Germany", "DE")]
        return min(near, key=lambda keys: len(names[keys]["name"]))

    def _show_edited(self, key: str, party: str) -> None:
        crm, erp = self.stage.company(key), self.stage.world.office.look(party)
        rows = [
            ("name", crm["name"], erp["name"]),
            ("telephone", crm["phone"], erp.get("phone")),
            ("e-mail", crm["tulay_email"], erp.get("email")),
        ]
        self.stage.narration.show(
            ["", "HubSpot", "Tryton"], [(what, short(a, 33), short(b, 33)) for what, a, b in rows]
        )

    def _decide(self) -> None:
        hub, narration = self.stage.world.hub, self.stage.narration
        with hub.store.read() as tx:
            found = list_conflicts(tx)
        self.figures.conflicts = len(found)
        for one in found:
            narration.say(
                f"Conflict {one.id} about {one.path}: the hub has {one.ours!r},"
                f" {one.connection} has {one.theirs!r}. A person takes the value of"
                f" {one.connection}."
            )
            resolve_conflict(hub, one.id, one.connection)


def _one_of_each(known: list[Known]) -> list[Known]:
    return list({one.by: one for one in known}.values())
