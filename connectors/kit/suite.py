"""The contract as a test suite: inherit it, define how to create a record, run pytest.

    class TestMyConnector(ConnectorContract):
        @pytest.fixture
        def connector(self): ...
        stream = "customers"
        def sample(self, n): return {"name": f"Customer {n}"}
        def patch(self, n): return {"name": f"Renamed {n}"}

Tests are skipped only for capabilities that manifest.yaml does not claim.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.kit.contract import (
    Action,
    Connector,
    Create,
    Delete,
    Page,
    Request,
    Update,
    Write,
)
from connectors.kit.errors import (
    ContractError,
    CredentialsError,
    CursorExpiredError,
    RecordError,
    RecordMissingError,
    RecordRejectedError,
    RecordStaleError,
    UnavailableError,
)
from connectors.kit.subject import (
    ContractSubject,
    at,
    bare_request,
    check_form,
    key_of,
    new_id,
    paths,
    seen,
    values,
)


class ConnectorContract(ContractSubject):
    """Every promise of `connectors.kit.contract.Connector`, one test each."""

    # -- the conversation ------------------------------------------------------------------------

    def test_has_every_method_of_the_contract(self, connector: Connector) -> None:
        assert isinstance(connector, Connector), (
            "a method of connectors.kit.contract.Connector is missing from the class"
        )

    def test_check_has_findings_and_no_errors(self, connector: Connector) -> None:
        findings = connector.check()
        assert findings, "check() must report what it proved, as at least one Finding"
        errors = [finding.what for finding in findings if finding.level == "error"]
        assert not errors, f"check() found errors on a good connection: {errors}"

    def test_close_may_come_twice(self, connector: Connector) -> None:
        connector.close()
        connector.close()

    def test_prepare_of_nothing_does_nothing(self, connector: Connector) -> None:
        findings = connector.prepare([])
        assert not findings, "prepare([]) must return no findings: there was nothing to do"

    def test_wrong_credentials_are_reported_as_such(self, wrong_credentials: Connector) -> None:
        with pytest.raises(CredentialsError):
            wrong_credentials.check()

    def test_silence_means_unavailable(self, unreachable: Connector) -> None:
        with pytest.raises(UnavailableError):
            unreachable.check()

    # -- what is there ---------------------------------------------------------------------------

    def test_describe_covers_what_is_written(self, connector: Connector) -> None:
        self.make(connector, 1)
        known = set(connector.describe(self.stream).fields)
        missing = [
            path
            for path in paths(self.sample(0))
            if not any(path == name or path.startswith(f"{name}.") for name in known)
        ]
        assert not missing, f"describe() does not list fields that `sample` writes: {missing}"

    def test_records_are_plain_values(self, connector: Connector) -> None:
        keys = self.make(connector, 2)
        for record in connector.fetch(self.stream, keys).records:
            check_form(record)

    def test_payloads_stay_out_of_a_records_repr(self, connector: Connector) -> None:
        key = self.make(connector, 1)[0]
        record = self.one(connector, key)
        texts = [v for v in values(record.payload) if isinstance(v, str) and len(v) > 5]
        # What the other fields say may be shown: key, version, hub id.
        shown, bare = repr(record), repr(replace(record, payload={}))
        assert not any(text in shown and text not in bare for text in texts), (
            "repr(record) shows customer data: use connectors.kit.contract.Record as it is"
        )

    # -- reading ---------------------------------------------------------------------------------

    def test_full_read_brings_every_record(self, connector: Connector) -> None:
        keys = self.make(connector, self.many)
        brought = seen(self.read(connector))
        assert set(keys) <= brought, f"a full read skipped {len(set(keys) - brought)} records"

    def test_full_read_ends_with_a_cursor(self, connector: Connector) -> None:
        self.make(connector, 1)
        cursor = self.read(connector)[-1].cursor
        assert isinstance(cursor, str), "the last page of a read must have a cursor, as text"

    def test_full_read_continues_from_any_page(self, connector: Connector) -> None:
        keys = self.make(connector, self.many)
        pages = self.read(connector)
        assert len(pages) > 1, (
            f"{self.many} records came in one page: open the connector with a smaller page size "
            "or raise `many`, else this test proves nothing"
        )
        # Some places are enough: a sandbox may have many pages already.
        for index in sorted({0, 1, len(pages) // 2, len(pages) - 2} & set(range(len(pages) - 1))):
            if (cursor := pages[index].cursor) is None:
                continue
            resumed = seen(pages[: index + 1]) | seen(self.read(connector, cursor))
            lost = set(keys) - resumed
            assert not lost, f"going on after page {index + 1} skips {len(lost)} records"

    def test_increment_brings_edits_and_creates(self, connector: Connector) -> None:
        keys = self.make(connector, self.many)
        cursor = self.read(connector)[-1].cursor
        self.settle(connector)
        self.edit(connector, keys[0], 1)
        new = self.make(connector, 1)
        brought = seen(self.read(connector, cursor))
        assert keys[0] in brought, "an increment does not bring an edited record"
        assert new[0] in brought, "an increment does not bring a new record"

    def test_increment_leaves_out_what_did_not_change(self, connector: Connector) -> None:
        facts = self.facts(connector)
        if facts.read == "full":
            pytest.skip("manifest.yaml says that this stream always reads in full")
        keys = self.make(connector, self.many)
        self.settle(connector)
        cursor = self.read(connector)[-1].cursor
        self.edit(connector, keys[-1], 1)
        again = seen(self.read(connector, cursor)) & set(keys[:-1])
        assert not again, (
            f"an increment brought {len(again)} records that did not change; if they are within "
            "the overlap, override `settle` to let it pass; else claim `read: full`"
        )

    def test_quiet_increments_come_to_an_end(self, connector: Connector) -> None:
        self.make(connector, 1)
        cursor = self.read(connector)[-1].cursor
        for _ in range(3):
            pages = self.read(connector, cursor)
            assert isinstance(pages[-1].cursor, str), "every read must end with a cursor"
            cursor = pages[-1].cursor

    def test_a_cursor_that_is_not_ours_has_expired(self, connector: Connector) -> None:
        if self.facts(connector).read == "full":
            pytest.skip("manifest.yaml says that this stream always reads in full")
        with pytest.raises(CursorExpiredError):
            self.read(connector, "no cursor of yours")

    def test_fetch_accounts_for_every_key(self, connector: Connector) -> None:
        keys = [*self.make(connector, 2), self.missing_key]
        page = connector.fetch(self.stream, keys)
        found = {record.key for record in page.records}
        assert set(keys[:2]) <= found, "fetch() must return records that exist"
        assert self.missing_key in page.gone, "fetch() must list keys that do not exist in `gone`"

    def test_fetch_of_nothing_is_nothing(self, connector: Connector) -> None:
        page = connector.fetch(self.stream, [])
        empty = Page(records=page.records[:0], gone=page.gone[:0], merges=page.merges[:0])
        assert page == empty, "fetch([]) must be an empty page"

    def test_sweep_brings_every_key(self, connector: Connector) -> None:
        keys = self.make(connector, self.many)
        swept = [key for portion in connector.keys(self.stream) for key in portion]
        assert all(isinstance(key, str) for key in swept), "keys() must yield text"
        missing = set(keys) - set(swept)
        assert not missing, f"keys() leaves out {len(missing)}: the hub would take them for deleted"

    # -- writing ---------------------------------------------------------------------------------

    def test_writing_nothing_is_nothing(self, connector: Connector) -> None:
        assert list(connector.write(self.stream, [])) == [], "write([]) must return no outcomes"

    def test_create_can_be_read_back(self, connector: Connector) -> None:
        self.claims(connector, "create")
        sample = self.sample(0)
        outcome = connector.write(self.stream, [Create(new_id(), sample)])[0]
        key = key_of(outcome)
        assert self.shows(self.one(connector, key).payload, sample), (
            "a new record does not show what was written; override `shows` if the system rewrites"
        )
        if outcome.record is not None:
            assert outcome.record.key == key, "Outcome.record must be the record of Outcome.key"

    def test_create_is_found_by_its_hub_id(self, connector: Connector) -> None:
        self.claims(connector, "create", "once")
        once, other = new_id(), new_id()
        key = key_of(connector.write(self.stream, [Create(once, self.sample(0))])[0])
        for _ in range(2):
            found = connector.find(self.stream, [once, other])
            assert set(found) == {once}, (
                "find() must return created hub ids, no others, every time; it must not lag"
            )
            assert found[once].key == key, "find() returns another record than the one created"
        assert self.one(connector, key).external_id == once, (
            "Record.external_id must hold the hub id"
        )

    def test_a_second_create_of_a_hub_id_is_refused(self, connector: Connector) -> None:
        self.claims(connector, "create", "once")
        once = new_id()
        first = key_of(connector.write(self.stream, [Create(once, self.sample(0))])[0])
        second = connector.write(self.stream, [Create(once, self.sample(1))])[0]
        assert isinstance(second.error, RecordRejectedError) or second.key == first, (
            "a second create with the same hub id made a duplicate: make the field unique"
        )

    def test_one_bad_row_does_not_sink_the_others(self, connector: Connector) -> None:
        self.claims(connector, "update")
        keys = self.make(connector, 2)
        writes: list[Write] = [
            Update(keys[0], self.patch(1), if_version=None),
            Update(self.missing_key, self.patch(2), if_version=None),
            Update(keys[1], self.patch(3), if_version=None),
        ]
        outcomes = connector.write(self.stream, writes)
        assert len(outcomes) == len(writes), "write() must return one outcome for each write"
        assert [outcomes[0].key, outcomes[2].key] == keys, (
            "outcomes must be in the order of the writes, and good rows must succeed"
        )
        assert isinstance(outcomes[1].error, RecordError), (
            "a bad row must be an Outcome with a RecordError, not an exception of write()"
        )
        assert self.shows(self.one(connector, keys[1]).payload, self.patch(3)), (
            "the row after the bad one was not written"
        )

    def test_update_can_be_read_back(self, connector: Connector) -> None:
        facts = self.claims(connector, "update")
        key = self.make(connector, 1)[0]
        before = self.one(connector, key)
        patch = self.patch(1)
        key_of(connector.write(self.stream, [Update(key, patch, if_version=before.version)])[0])
        after = self.one(connector, key)
        assert self.shows(after.payload, patch), "an updated record does not show the update"
        if facts.lock == "native":
            assert before.version is not None, "a stream with `lock: native` must have versions"
        if before.version is not None:
            assert after.version != before.version, "the version must change with the content"

    def test_update_leaves_other_fields_alone(self, connector: Connector) -> None:
        self.claims(connector, "update")
        key = self.make(connector, 1)[0]
        before, patch = self.one(connector, key).payload, self.patch(1)
        self.edit(connector, key, 1)
        after = self.one(connector, key).payload
        kept = set(paths(self.sample(0))) - set(paths(patch))
        lost = [path for path in kept if at(before, path) is not None and at(after, path) is None]
        assert not lost, f"an update blanked fields that it did not name: {lost}"

    def test_stale_update_is_refused(self, connector: Connector) -> None:
        facts = self.claims(connector, "update")
        if facts.lock != "native":
            pytest.skip(f"manifest.yaml says `lock: {facts.lock}`")
        key = self.make(connector, 1)[0]
        version = self.one(connector, key).version
        self.edit(connector, key, 1)
        late = connector.write(self.stream, [Update(key, self.patch(2), if_version=version)])[0]
        assert isinstance(late.error, RecordStaleError), (
            "a stale update must end in RecordStaleError; else claim `lock: none`"
        )
        assert self.shows(self.one(connector, key).payload, self.patch(1)), (
            "a stale update was refused and yet written"
        )

    def test_delete_is_final(self, connector: Connector) -> None:
        facts = self.claims(connector, "delete")
        keys = self.make(connector, 2)
        cursor = self.read(connector)[-1].cursor
        self.settle(connector)
        key_of(connector.write(self.stream, [Delete(keys[0], if_version=None)])[0])
        assert keys[0] in connector.fetch(self.stream, keys).gone, "a deleted key must be `gone`"
        swept = {key for portion in connector.keys(self.stream) for key in portion}
        assert keys[0] not in swept, "keys() still has a deleted key"
        assert keys[1] in swept, "keys() lost a record that was not deleted"
        if facts.deletions == "pages":
            gone = {key for page in self.read(connector, cursor) for key in page.gone}
            assert keys[0] in gone, "pages() must tell a deletion; else claim `deletions: sweep`"
        again = connector.write(self.stream, [Delete(keys[0], if_version=None)])[0]
        assert again.key == keys[0] or isinstance(again.error, RecordMissingError), (
            "deleting twice must succeed or end in RecordMissingError"
        )

    def test_action_changes_the_record(self, connector: Connector) -> None:
        facts = self.claims(connector, "actions")
        assert self.action in facts.actions, (
            f"set `action` to one that a fresh sample allows: {', '.join(facts.actions)}"
        )
        key = self.make(connector, 1)[0]
        before = self.one(connector, key)
        outcome = connector.write(self.stream, [Action(key, str(self.action), before.version)])[0]
        key_of(outcome)
        assert self.one(connector, key).payload != before.payload, "the action changed nothing"

    def test_unknown_action_is_refused(self, connector: Connector) -> None:
        self.claims(connector, "actions")
        key = self.make(connector, 1)[0]
        outcome = connector.write(self.stream, [Action(key, "no_such_action", None)])[0]
        assert isinstance(outcome.error, RecordError), (
            "an unknown action must be an Outcome with RecordRejectedError"
        )

    # -- being called ----------------------------------------------------------------------------

    @pytest.fixture
    def hook(self, connector: Connector, delivery: Request) -> Request:
        """The genuine delivery, or a skip when the manifest claims no webhooks."""
        self.claims_webhooks(connector)
        return delivery

    def test_genuine_delivery_is_accepted(self, connector: Connector, hook: Request) -> None:
        assert connector.verify(hook), "verify() refuses a genuine delivery"
        notifications = connector.notifications(hook.body)
        assert notifications, "notifications() must name what the delivery is about"
        assert all(notification.event_id for notification in notifications), (
            "every notification needs an event_id"
        )

    def test_forged_delivery_is_refused(self, connector: Connector, hook: Request) -> None:
        forged = replace(hook, body=hook.body + b" ")
        assert not connector.verify(forged), "verify() accepts a body that was changed"

    def test_unsigned_delivery_is_refused(self, connector: Connector, hook: Request) -> None:
        assert not connector.verify(replace(hook, headers={})), "verify() accepts no signature"

    def test_old_delivery_is_refused(self, connector: Connector, hook: Request) -> None:
        late = replace(hook, received_at=hook.received_at + timedelta(days=2))
        assert not connector.verify(late), "verify() accepts a delivery signed two days ago"

    @pytest.mark.usefixtures("hook")
    def test_gibberish_breaks_the_contract(self, connector: Connector) -> None:
        with pytest.raises(ContractError):
            connector.notifications(b"\x00 not what was promised")

    def test_delivery_without_webhooks_is_refused(self, connector: Connector) -> None:
        if self.manifest(connector).webhooks:
            pytest.skip("manifest.yaml says `webhooks: true`: see the other tests")
        assert not connector.verify(bare_request()), "verify() must be False without webhooks"
