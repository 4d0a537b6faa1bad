"""From a won deal to the paid invoice, and what salespeople see on the way."""

from __future__ import annotations

import pytest

from hub.flows.settings import FlowSettings
from hub.sync.flows import derive
from hub.sync.ingest.pull import pull
from hub.sync.operate.reconcile import reconcile


@pytest.fixture
def won(world, shop):
    """A won deal and its order: (deal, sale)."""
    deal = shop["deal"](stage="won", closed="2026-11-20")
    world.quiet()
    (sale,) = world.erp.records("sales")
    return deal, sale


def tasks(world):
    return sorted(t["subject"] for t in world.crm.records("tasks").values())


def notes(world):
    return [n["text"] for n in world.crm.records("notes").values()]


def test_products_flow_from_the_erp_to_the_crm(world, shop):
    assert world.crm.get("products", shop["product"])["sku"] == "WID-1"
    world.erp.edit("articles", shop["article"], list_price="32")
    world.agree()
    assert world.crm.get("products", shop["product"])["price"] == "32"
    world.crm.edit("products", shop["product"], price="1")
    world.agree()
    assert world.erp.get("articles", shop["article"])["list_price"] == "32"
    assert world.crm.get("products", shop["product"])["price"] == "32"


def test_only_a_won_deal_becomes_an_order(world, shop):
    deal = shop["deal"]()
    world.quiet()
    assert world.erp.records("sales") == {}
    world.crm.edit("deals", deal, stage="won")
    world.quiet()
    (sale,) = world.erp.records("sales").values()
    (line,) = sale["lines"]
    assert (sale["party"], sale["currency"]) == (shop["party"], "EUR")
    assert (line["article"], line["quantity"], line["price"]) == (shop["article"], "2", "30")
    world.agree()
    assert len(world.erp.records("sales")) == 1


def test_the_order_is_confirmed_step_by_step(world, won):
    _, sale = won
    assert world.erp.get("sales", sale)["state"] == "confirmed"
    ops = [w.op for w in world.erp.writes if w.stream == "sales"]
    assert ops == ["create", "act:quote", "act:confirm"]


def test_the_orders_state_returns_to_the_deal(world, shop, won):
    """The state of an order shows in its deal and in its company."""
    deal, sale = won
    world.agree()
    assert world.crm.get("deals", deal)["order_number"] == f"SO-{sale}"
    assert world.crm.get("deals", deal)["order_state"] == "confirmed"
    (order,) = world.crm.records("orders").values()
    assert (order["number"], order["status"]) == (f"SO-{sale}", "confirmed")
    assert order["deal"] == deal
    company = world.crm.get("companies", shop["company"])
    assert (company["last_order"], company["open_orders"]) == (f"SO-{sale}", 1)


def test_deriving_again_changes_nothing(world, won):
    world.agree()
    with world.store.begin() as tx:
        from hub.store import dirty

        dirty.mark(tx, [g.id for g in world.golden()], now=world.clock())
    assert derive(world.hub) == 0
    world.agree()


def test_an_early_deal_edit_changes_the_order(world, shop):
    """A deal edited before the order has its number changes the order."""
    world.restart(flows=FlowSettings(confirm_orders=False))
    deal = shop["deal"](stage="won")
    world.quiet()
    world.crm.edit("deals", deal, lines=[{"id": "1", "quantity": "5"}])
    world.agree()
    (sale,) = world.erp.records("sales").values()
    assert (sale["state"], sale["lines"][0]["quantity"]) == ("draft", "5")


def test_a_late_deal_edit_leaves_the_order_alone(world, won):
    """A deal edited after the order has its number leaves the order alone."""
    deal, sale = won
    world.crm.edit("deals", deal, title="Five widgets", lines=[{"id": "1", "quantity": "5"}])
    world.agree()
    assert world.erp.get("sales", sale)["lines"][0]["quantity"] == "2"
    assert len(world.erp.records("sales")) == 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"company": None}, "no company"),
        ({"lines": []}, "no line items"),
        ({"lines": [{"id": "1", "product": None}]}, "no product"),
        ({"lines": [{"id": "1", "quantity": None}]}, "no quantity"),
        ({"lines": [{"id": "1", "price": None}]}, "no unit price"),
    ],
)
def test_an_incomplete_deal_waits_with_a_reason(world, shop, wrong, reason):
    deal = shop["deal"]()
    good = world.crm.get("deals", deal)
    world.crm.edit("deals", deal, wrong)
    world.crm.edit("deals", deal, stage="won")
    world.quiet()
    (entry,) = world.quarantine_entries()
    assert reason in entry.reason
    assert "Two widgets" in entry.reason
    assert len(notes(world)) == 1
    assert reason in notes(world)[0]
    world.agree()
    assert world.erp.records("sales") == {}
    assert len(notes(world)) == 1
    world.crm.edit("deals", deal, good | {"stage": "won"})
    world.agree()
    assert len(world.erp.records("sales")) == 1
    assert world.quarantine_entries() == []
    assert len(notes(world)) == 1


def test_an_address_releases_a_waiting_deal(world, shop):
    """A deal that waits for its company's address continues once the address is known."""
    company = world.crm.create("companies", name="Zenith", domain="zenith.example")
    shop["deal"](stage="won", company=company)
    world.quiet()
    assert "Zenith" in notes(world)[0]
    assert "no street and no city" in notes(world)[0]
    world.crm.edit("companies", company, {"address": {"street": "Quay 2", "city": "Kiel"}})
    world.agree()
    assert len(world.erp.records("sales")) == 1
    assert world.quarantine_entries() == []


def test_a_refused_order_shows_on_the_deal(world, shop):
    world.erp.declare("sales", required=("cost_centre",))
    deal = shop["deal"](stage="won")
    world.quiet()
    (note,) = notes(world)
    assert "cost_centre" in note
    world.agree()
    assert len(notes(world)) == 1
    assert world.crm.get("deals", deal)["order_state"] == "waiting"
    world.erp.declare("sales", required=())
    world.agree()
    assert world.crm.get("deals", deal)["order_state"] == "confirmed"


def test_a_shipped_order_makes_one_thank_you_task(world, won):
    deal, sale = won
    world.erp.edit("sales", sale, delivery="sent")
    world.agree()
    assert tasks(world) == [f"Thank Acme for order SO-{sale}"]
    (task,) = world.crm.records("tasks").values()
    assert (task["deal"], task["owner"]) == (deal, "ann")
    assert world.crm.get("deals", deal)["order_state"] == "shipped"
    world.erp.edit("sales", sale, total="61")
    world.agree()
    assert len(tasks(world)) == 1


def test_a_deleted_task_does_not_come_back(world, won):
    _, sale = won
    world.erp.edit("sales", sale, delivery="sent")
    world.quiet()
    (task,) = world.crm.records("tasks")
    world.crm.delete("tasks", task)
    world.erp.edit("sales", sale, total="61")
    world.agree()
    assert tasks(world) == []


def bill(world, shop, sale, **fields):
    world.map("bills", "invoices")
    whole = {
        "number": "R-1",
        "state": "posted",
        "party": shop["party"],
        "sale": sale,
        "currency": "EUR",
        "date": "2026-11-20",
        "due": "2026-11-30",
        "total": "60",
        "paid": "0",
    }
    return world.erp.create("bills", whole | fields)


def test_invoices_show_in_the_crm_and_the_figures(world, shop, won):
    """Invoices show in the CRM and in the figures of the company."""
    _, sale = won
    key = bill(world, shop, sale)
    world.agree()
    (invoice,) = world.crm.records("invoices").values()
    assert (invoice["number"], invoice["status"]) == ("R-1", "posted")
    company = world.crm.get("companies", shop["company"])
    assert (company["invoiced"], company["open_balance"]) == ("60", "60")
    assert company["overdue_balance"] == "0"
    world.erp.edit("bills", key, state="paid", paid="60")
    world.agree()
    company = world.crm.get("companies", shop["company"])
    assert (company["invoiced"], company["open_balance"]) == ("60", "0")


def test_an_overdue_invoice_makes_one_reminder(world, shop, won):
    _deal, sale = won
    bill(world, shop, sale)
    world.agree()
    assert tasks(world) == []
    world.clock.later(days=8)
    world.agree()
    assert tasks(world) == ["Remind Acme of invoice R-1"]
    assert world.crm.get("companies", shop["company"])["overdue_balance"] == "60"
    world.clock.later(days=3)
    world.agree()
    assert len(tasks(world)) == 1


def test_a_job_in_the_workshop_shows_on_the_deal(world, won):
    world.map("jobs")
    deal, sale = won
    job = world.erp.create("jobs", number="J1", state="running", quantity="2", sale=sale)
    world.agree()
    assert world.crm.get("deals", deal)["order_state"] == "in production"
    world.erp.edit("jobs", job, state="done")
    world.agree()
    assert world.crm.get("deals", deal)["order_state"] == "confirmed"


def test_an_order_cancelled_in_the_erp_shows_it(world, shop):
    world.restart(flows=FlowSettings(confirm_orders=False))
    deal = shop["deal"](stage="won")
    world.quiet()
    (sale,) = world.erp.records("sales")
    with world.erp.tables.transaction():
        world.erp.pen("sales").act(sale, "cancel")
    world.agree()
    assert world.crm.get("deals", deal)["order_state"] == "cancelled"
    assert world.erp.get("sales", sale)["state"] == "cancelled"
    assert world.conflicts() == []


def test_a_cancelled_confirmed_order_stays_so(world, won):
    deal, sale = won
    world.erp.declare(
        "sales", acts={**world.erp.shape("sales").acts, "cancel": {"confirmed": "cancelled"}}
    )
    with world.erp.tables.transaction():
        world.erp.pen("sales").act(sale, "cancel")
    world.agree()
    assert world.crm.get("deals", deal)["order_state"] == "cancelled"
    assert world.erp.get("sales", sale)["state"] == "cancelled"
    assert world.conflicts() == []


def test_a_cancellation_beats_a_confirmation(world, shop):
    """An order cancelled while the hub was about to confirm it stays cancelled."""
    world.restart(flows=FlowSettings(confirm_orders=False))
    deal = shop["deal"](stage="won")
    world.quiet()
    (sale,) = world.erp.records("sales")
    with world.erp.tables.transaction():
        world.erp.pen("sales").act(sale, "cancel")
    world.restart(flows=FlowSettings())
    world.crm.edit("deals", deal, title="Two widgets, now")
    pull(world.hub, "crm", "deals")
    derive(world.hub)
    world.agree()
    assert world.erp.get("sales", sale)["state"] == "cancelled"
    assert world.crm.get("deals", deal)["order_state"] == "cancelled"


def test_a_deleted_order_is_not_created_again(world, won):
    deal, sale = won
    world.erp.delete("sales", sale)
    world.crm.edit("deals", deal, title="Still two widgets")
    world.agree()
    assert world.erp.records("sales") == {}


def test_a_sale_made_in_the_erp_shows_in_the_crm(world, shop):
    world.erp.create("sales", party=shop["party"], state="draft", currency="EUR")
    world.agree()
    assert world.crm.records("orders") == {}  # not numbered yet
    assert reconcile(world.hub).clean
    (sale,) = world.erp.records("sales")
    with world.erp.tables.transaction():
        world.erp.pen("sales").act(sale, "quote")
    world.erp.edit("sales", sale, number="SO-9")
    world.agree()
    (order,) = world.crm.records("orders").values()
    assert (order["number"], order["company"]) == ("SO-9", shop["company"])


def test_a_disabled_flow_does_nothing(world, shop):
    world.restart(flows=FlowSettings(won_deal_to_order=False))
    shop["deal"](stage="won")
    world.agree()
    assert world.erp.records("sales") == {}
    assert world.quarantine_entries() == []


def _merged(world, loser, winner):
    world.crm.merge("deals", loser, into=winner)
    for key, order in world.crm.records("orders").items():
        if order.get("deal") == loser:
            world.crm.edit("orders", key, deal=winner)


def test_a_merged_deal_brings_its_order_along(world, shop):
    """A deal won after one with an order was merged into it has that order."""
    won, other = shop["deal"](stage="won"), shop["deal"]()
    world.quiet()
    (sale,) = world.erp.records("sales")
    _merged(world, won, other)
    world.quiet()
    world.crm.edit("deals", other, stage="won")
    world.agree()
    assert list(world.erp.records("sales")) == [sale]
    assert world.crm.get("deals", other)["order_number"] == f"SO-{sale}"


def test_merged_won_deals_get_no_third_order(world, shop):
    first, second = shop["deal"](stage="won"), shop["deal"](stage="won", title="Four widgets")
    world.quiet()
    sales = list(world.erp.records("sales"))
    shown = world.crm.get("deals", second)["order_number"]
    _merged(world, first, second)
    world.agree()
    for sale in sales:
        world.erp.edit("sales", sale, delivery="sent")
        world.agree()
        assert world.crm.get("deals", second)["order_number"] == shown
    assert list(world.erp.records("sales")) == sales


def test_a_waiting_deal_merged_away_leaves(world, shop):
    """A waiting deal that is merged into another leaves quarantine."""
    waiting, other = shop["deal"](stage="won", lines=[]), shop["deal"](stage="won")
    world.quiet()
    assert len(world.quarantine_entries()) == 1
    _merged(world, waiting, other)
    world.agree()
    assert world.quarantine_entries() == []
    assert len(world.erp.records("sales")) == 1


def test_a_waiting_deal_deleted_leaves(world, shop):
    """A waiting deal that is deleted leaves quarantine."""
    world.restart(policies={"opportunity": {"delete": "propagate"}})
    waiting = shop["deal"](stage="won", lines=[])
    world.quiet()
    assert len(world.quarantine_entries()) == 1
    world.crm.delete("deals", waiting)
    world.agree()
    assert world.quarantine_entries() == []
