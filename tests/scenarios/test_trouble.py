"""Systems that are down, refuse, forget or lose answers: nothing is lost or duplicated."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.kit.contract import Notification
from connectors.kit.errors import (
    CredentialsError,
    RecordRejectedError,
    UnavailableError,
)
from hub.store import dirty, quarantine, tables
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.pull import pull
from hub.sync.ingest.webhooks import receive
from hub.sync.push.push import push


class Between:
    """Wraps a connector and does what a test says."""

    def __init__(self, connector, **instead):
        self.connector, self.instead = connector, instead

    def __getattr__(self, name):
        method = getattr(self.connector, name)
        instead = self.instead.get(name)
        return method if instead is None else lambda *a: instead(method, *a)


def test_the_erp_is_down_for_an_hour(world):
    company, _party = world.customer()
    world.erp.inject_faults(down=True)
    world.crm.edit("companies", company, name="Acme SE")
    world.crm.create("companies", name="Zenith", domain="zenith.example")
    for _ in range(6):
        world.clock.later(minutes=10)
        assert list(world.sync().failed) == ["erp"]
    world.erp.inject_faults()
    world.agree()
    assert world.titles() == ["Acme SE", "Zenith"]


def test_a_rate_limit_is_waited_for(world):
    world.crm.create("companies", name="Acme", domain="acme.example")
    pull(world.hub, "crm", "companies")
    world.erp.inject_faults(script=("rate",), retry_after=120.0)
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    world.clock.later(seconds=60)
    push(world.hub, "erp")
    assert world.titles() == []
    world.clock.later(seconds=61)
    push(world.hub, "erp")
    assert world.titles() == ["Acme"]


def test_a_refused_record_passes_once_corrected(world):
    """A refused record stops no other record, and is written once a user corrects it."""
    world.erp.declare("parties", unique=("vat",))
    world.erp.create("parties", title="Taken", vat="DE136695976", address={"country": "FR"})
    bad = world.crm.create(
        "companies", name="Acme", tax_id="DE136695976", address={"country": "DE"}
    )
    world.crm.create("companies", name="Zenith", domain="zenith.example")
    world.quiet()
    assert world.titles() == ["Taken", "Zenith"]
    (entry,) = world.held_writes("erp")
    assert (entry.state, entry.error) == ("held", "RecordRejectedError")
    assert "vat" in entry.reason
    world.agree()
    world.crm.edit("companies", bad, tax_id="DE129273398")
    world.agree()
    assert world.titles() == ["Acme", "Taken", "Zenith"]
    assert world.held_writes() == []


def test_a_refused_record_passes_once_accepted(world):
    world.erp.declare("parties", required=("branch",))
    world.crm.create("companies", name="Acme", domain="acme.example")
    world.quiet()
    assert len(world.held_writes("erp")) == 1
    world.erp.declare("parties", required=())
    world.agree()
    assert world.titles() == ["Acme"]
    assert world.held_writes() == []


def test_a_held_write_can_be_retried(world):
    world.erp.declare("parties", required=("branch",))
    world.crm.create("companies", name="Acme", domain="acme.example")
    world.quiet()
    (entry,) = world.held_writes("erp")
    world.erp.declare("parties", required=())
    with world.store.begin() as tx:
        assert quarantine.retry(tx, [entry.id], now=world.clock()) == 1
    push(world.hub, "erp")
    assert world.titles() == ["Acme"]
    assert world.held_writes() == []


@pytest.fixture
def invoice(world):
    """Bills with a state that only a part of the mapping knows."""
    world.map("bills", "invoices")
    _, party = world.customer()
    return lambda **fields: world.erp.create("bills", party=party, total="10", **fields)


def test_a_corrected_record_leaves_quarantine(world, invoice):
    """An unreadable record stops no other, and leaves quarantine once a user corrects it."""
    bad = invoice(number="1", state="sideways")
    invoice(number="2", state="posted")
    world.quiet()
    assert [i["number"] for i in world.crm.records("invoices").values()] == ["2"]
    (entry,) = world.quarantine_entries()
    assert (entry.state, entry.key) == ("held", bad)
    assert "sideways" not in entry.reason
    world.erp.edit("bills", bad, state="posted")
    world.agree()
    assert sorted(i["number"] for i in world.crm.records("invoices").values()) == ["1", "2"]
    assert world.quarantine_entries() == []


def test_a_reverted_record_leaves_quarantine(world, invoice):
    bill = invoice(number="1", state="posted")
    world.quiet()
    world.erp.edit("bills", bill, state="sideways")
    world.quiet()
    assert len(world.quarantine_entries()) == 1
    world.erp.edit("bills", bill, state="posted")
    world.agree()
    assert world.quarantine_entries() == []


def test_a_quarantined_record_can_be_retried(world, invoice):
    invoice(number="1", state="sideways")
    world.quiet()
    (entry,) = world.quarantine_entries()
    with world.store.begin() as tx:
        assert quarantine.retry(tx, [entry.id], now=world.clock()) == 1
    world.agree()
    (entry,) = world.quarantine_entries()
    assert entry.state == "held"


@pytest.mark.parametrize("use", [pull, push])
def test_wrong_credentials_pause_the_connection(world, use):
    """Wrong credentials pause the connection until a person resumes it."""
    company, _party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    pull(world.hub, "crm", "companies")
    world.erp.password = "changed"
    with pytest.raises(CredentialsError):
        use(world.hub, "erp", *(["parties"] if use is pull else []))
    report = world.sync()
    assert list(report.paused) == ["erp"]
    assert "password" in report.paused["erp"]
    calls = world.erp.calls
    world.sync()
    assert world.erp.calls == calls
    world.erp.password = ""
    world.resume("erp")
    world.agree()
    assert world.titles() == ["Acme SE"]


def test_an_expired_cursor_only_costs_a_full_read(world):
    company, party = world.customer()
    world.erp.edit("parties", party, title="Acme SE")
    world.erp.expire_cursors()
    world.agree()
    assert world.crm.get("companies", company)["name"] == "Acme SE"


def test_a_new_mapping_still_reads_everything(world, tmp_path):
    """A read aborted under a new mapping still reads everything."""
    world.customer(rating="A")
    (tmp_path / "sales").mkdir()
    (tmp_path / "sales" / "own.yaml").write_text(
        "entity: company\nstream: companies\nextends: true\n"
        "fields:\n  custom.rating: {field: rating, kind: text}\n"
    )
    from connectors.kit.contract import Page

    def once_without_cursor(method, stream, since):
        yield Page()
        raise UnavailableError("the connection broke")

    world.restart(
        extra=[*world.extra, tmp_path],
        wrap=lambda connector: Between(connector, pages=once_without_cursor),
    )
    with pytest.raises(UnavailableError):
        pull(world.hub, "crm", "companies")
    world.restart(wrap=lambda connector: connector)
    world.quiet()
    (golden,) = world.golden("company")
    assert golden.values["custom.rating"] == "A"


def test_an_older_page_restores_no_old_values(world):
    company, _party = world.customer()
    from hub.store.runs import Tally
    from hub.sync.ingest.page import ingest
    from hub.sync.ingest.read_record import Origin

    channel = world.hub.connection("crm").channel("companies")
    old = channel.connector.fetch("companies", [company])
    world.crm.edit("companies", company, name="Acme SE")
    world.quiet()
    tally = Tally("0" * 32, "pull", "crm", "companies", world.clock())
    with world.store.begin() as tx:
        ingest(world.hub, tx, channel, page=old, tally=tally, origin=Origin.LISTED)
    assert tally.skipped == {"older than what is known": 1}
    world.agree()
    assert world.titles() == ["Acme SE"]


def test_equal_timestamps_do_not_tell_the_newer(world):
    """An ambiguous value must not overwrite what a user of the other system has typed since."""
    company, _party = world.customer()
    from hub.store.runs import Tally
    from hub.sync.ingest.page import ingest
    from hub.sync.ingest.read_record import Origin

    channel = world.hub.connection("crm").channel("companies")
    world.crm.inject_faults(ties=60.0)
    world.crm.edit("companies", company, name="Acme AG")
    old = channel.connector.fetch("companies", [company])
    world.crm.edit("companies", company, name="Acme SE")
    assert channel.connector.fetch("companies", [company]).records[0].version != (
        old.records[0].version
    )
    world.quiet()
    tally = Tally("0" * 32, "pull", "crm", "companies", world.clock())
    with world.store.begin() as tx:
        ingest(world.hub, tx, channel, page=old, tally=tally, origin=Origin.LISTED)
    assert tally.skipped == {"no newer by its time than what is known": 1}
    assert world.titles() == ["Acme SE"]
    world.agree()
    assert world.titles() == ["Acme SE"]


def test_an_older_page_restores_no_deleted_record(world):
    world.restart(policies={"company": {"delete": "propagate"}})
    company, _party = world.customer()
    from hub.store.runs import Tally
    from hub.sync.ingest.page import ingest
    from hub.sync.ingest.read_record import Origin

    channel = world.hub.connection("crm").channel("companies")
    old = channel.connector.fetch("companies", [company])
    world.crm.delete("companies", company)
    world.quiet()
    tally = Tally("0" * 32, "pull", "crm", "companies", world.clock())
    with world.store.begin() as tx:
        ingest(world.hub, tx, channel, page=old, tally=tally, origin=Origin.LISTED)
    assert tally.adds_up
    assert world.golden("company") == []
    world.agree()
    assert world.golden("company") == []


def test_a_key_twice_in_a_page_counts_as_newest(world):
    company, _party = world.customer()

    def twice(method, stream, since):
        for page in method(stream, since):
            from dataclasses import replace

            yield replace(page, records=[*page.records, *(older(r) for r in page.records)])

    def older(record):
        from dataclasses import replace

        old = record.modified_at - timedelta(seconds=5)
        return replace(record, payload={**record.payload, "name": "Old"}, modified_at=old)

    world.crm.edit("companies", company, name="Acme SE")
    world.restart(wrap=lambda connector: Between(connector, pages=twice))
    tally = pull(world.hub, "crm", "companies")
    assert tally.adds_up
    assert tally.seen == 2
    (golden,) = world.golden("company")
    assert golden.values["name"] == "Acme SE"


def test_a_write_over_a_fresh_edit_loses_neither(world):
    """A write to a record that was just edited in the remote system loses neither edit."""
    company, party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    edits = iter(["Shipping"])

    def edit(stream):
        for branch in edits:
            world.erp.edit("parties", party, branch=branch)

    world.erp.hooks.before_write.append(edit)
    world.agree()
    assert world.crm.get("companies", company)["industry"] == "Shipping"
    assert world.titles() == ["Acme SE"]


def test_a_system_that_reverts_writes_is_reported(world):
    """A system that reverts every write is shown to a person."""
    company, party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    count = iter(range(1000))
    world.erp.hooks.before_write.append(
        lambda stream: world.erp.edit("parties", party, noise=next(count))
    )
    world.sync()
    (entry,) = world.held_writes("erp")
    assert "changed again each time" in entry.reason
    assert next(count) < 20


# --- nudges -------------------------------------------------------------------------------------


def test_a_repeated_notification_costs_nothing(world):
    """A notification is processed at once, and a second one of the same record costs nothing."""
    company, _party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    notification = Notification("companies", company, "e1")
    receive(world.hub, "crm", [notification, notification])
    receive(world.hub, "crm", [notification])
    assert world.backlog()["crm", "inbox"] == 1
    tally = process_inbox(world.hub, "crm")
    assert (tally.seen, tally.changed) == (1, 1)
    assert tally.adds_up
    receive(world.hub, "crm", [Notification("companies", company, "e2")])
    assert process_inbox(world.hub, "crm").changed == 0
    push(world.hub, "erp")
    assert world.titles() == ["Acme SE"]


def test_unknown_notifications_do_no_harm(world):
    """Notifications about unknown streams and keys do no harm."""
    company, _ = world.customer()
    world.crm.delete("companies", company)
    notifications = [
        Notification("unheard_of", "1", "e1"),
        Notification("companies", "4711", "e2"),
        Notification("companies", company, "e3"),
    ]
    receive(world.hub, "crm", notifications)
    assert process_inbox(world.hub, "crm").adds_up
    assert ("crm", "inbox") not in world.backlog()
    world.agree()
    assert world.crm.records("companies") == {}


def test_a_notified_merge_is_applied(world):
    first, _ = world.customer()
    second, _ = world.customer(name="Zenith", domain="zenith.example")
    world.crm.merge("companies", second, into=first)
    receive(world.hub, "crm", [Notification("companies", second, "e1", into=first)])
    process_inbox(world.hub, "crm")
    assert len(world.golden("company")) == 1
    world.agree()


def test_a_notification_waits_for_its_system(world):
    company, _ = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    receive(world.hub, "crm", [Notification("companies", company, "e1")])
    world.crm.inject_faults(down=True)
    with pytest.raises(UnavailableError):
        process_inbox(world.hub, "crm")
    assert world.backlog()["crm", "inbox"] == 1
    world.crm.inject_faults()
    assert process_inbox(world.hub, "crm").changed == 1


def test_an_impossible_key_stops_only_itself(world):
    company, _ = world.customer()

    def refuse(method, stream, keys):
        if "not a key" in keys:
            raise RecordRejectedError("a key must be a number", stream=stream, key="not a key")
        return method(stream, keys)

    world.restart(wrap=lambda connector: Between(connector, fetch=refuse))
    world.crm.edit("companies", company, name="Acme SE")
    bad, good = (
        Notification("companies", "not a key", "e1"),
        Notification("companies", company, "e2"),
    )
    receive(world.hub, "crm", [bad, good])
    tally = process_inbox(world.hub, "crm")
    assert (tally.changed, tally.quarantined) == (1, 1)
    assert tally.adds_up
    (entry,) = world.quarantine_entries()
    assert (entry.key, entry.error) == ("not a key", "RecordRejectedError")
    assert ("crm", "inbox") not in world.backlog()


def test_an_inbox_run_counts_its_records(world):
    company, _ = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    receive(world.hub, "crm", [Notification("companies", company, "e1")])
    process_inbox(world.hub, "crm")
    run = world.runs()[0]
    assert (run.kind, run.stream, run.state) == ("inbox", "companies", "done")
    assert (run.seen, run.changed) == (1, 1)


def test_a_run_with_wrong_counts_is_inconsistent(world):
    world.crm.create("companies", name="Acme")

    class Miscounting:
        def start(self, name, total):
            """Ignores notifications."""

        def advance(self, name, count):
            with world.store.begin() as tx:
                assert tx is not None

        def done(self, name):
            """Ignores notifications."""

    from hub.store.runs import Tally

    tally = Tally("0" * 32, "pull", "crm", "companies", world.clock(), seen=2, same=1)
    assert not tally.adds_up
    tally.skip("under review")
    assert tally.adds_up
    assert pull(world.hub, "crm", "companies", progress=Miscounting()).adds_up


def test_flows_wait_for_the_first_full_read(world, open_a_shop):
    """Figures of an ERP that was never read would all be zero."""
    shop = open_a_shop(world)
    shop["deal"](stage="won")
    world.quiet()
    with world.store.begin() as tx:
        tx.execute(tables.streams.delete())
        dirty.mark(tx, [g.id for g in world.golden("opportunity")], now=world.clock())
    world.erp.inject_faults(down=True)
    world.crm.forget_writes()
    assert list(world.sync().failed) == ["erp"]
    assert not world.crm.writes
    with world.store.read() as tx:
        assert dirty.due(tx, limit=9)[0]
    world.erp.inject_faults()
    world.agree()


def test_an_endless_push_is_ended(world, monkeypatch):
    """Nothing that is read back is kept, as if the system never stored what was written."""
    monkeypatch.setattr("hub.sync.push.push._MORE", 5)
    monkeypatch.setattr("hub.sync.ingest.observing.settle", lambda state, *_args, **_more: state)
    world.erp.declare("parties", ways={"title": "upper"})
    world.crm.create("companies", name="Acme", domain="acme.example")
    for connection, stream in (("crm", "companies"), ("erp", "parties")):
        pull(world.hub, connection, stream)
    push(world.hub, "erp")
    assert 3 < len(world.erp.writes) <= 3 + 5
