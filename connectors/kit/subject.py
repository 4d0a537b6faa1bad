"""What the contract suite needs to know about a connector, and how it creates and reads records.

The tests themselves are in `connectors.kit.suite`; inherit from the class there.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connectors.kit.contract import (
    Connector,
    Create,
    Outcome,
    Page,
    Payload,
    Record,
    Request,
    Update,
)
from connectors.kit.manifest import Manifest, StreamFacts, read_manifest

#: A read that needs more pages than this for a handful of records never ends.
_MOST_PAGES = 10_000


class ContractSubject:
    """What the suite must know about a connector, and how it inspects it."""

    #: The stream to test; write one subclass per stream that differs.
    stream: ClassVar[str] = ""
    #: Records made for a read; must need at least two pages.
    many: ClassVar[int] = 5
    #: A key that no record has.
    missing_key: ClassVar[str] = "999999999"
    #: An action that a fresh `sample` allows, when the manifest claims actions.
    action: ClassVar[str | None] = None
    #: Samples made in this test so far.
    _made: int = 0

    # -- what a subclass says --------------------------------------------------------------------

    @pytest.fixture
    def connector(self) -> Connector:
        """The connector under test, opened on a twin or sandbox with pages below `many` records."""
        raise pytest.fail.Exception("define a fixture `connector` that opens your connector")

    @pytest.fixture
    def wrong_credentials(self, connector: Connector) -> Connector:
        """The same connector with credentials that the system refuses."""
        if not any(fact.secret for fact in self.manifest(connector).settings.values()):
            pytest.skip("manifest.yaml declares no secret setting")
        raise pytest.fail.Exception(
            "define a fixture `wrong_credentials`: your connector with a wrong secret"
        )

    @pytest.fixture
    def unreachable(self) -> Connector:
        """The same connector on an address where nothing answers."""
        raise pytest.fail.Exception(
            "define a fixture `unreachable`: your connector on an address where nothing answers, "
            "such as http://127.0.0.1:9"
        )

    @pytest.fixture
    def delivery(self, connector: Connector) -> Request:
        """A genuine webhook delivery for `connector`, signed and received just now."""
        self.claims_webhooks(connector)
        raise pytest.fail.Exception(
            "define a fixture `delivery`: a signed Request; or claim `webhooks: false`"
        )

    def sample(self, n: int) -> Payload:
        """Returns the n-th payload for a create, different for each n."""
        raise pytest.fail.Exception(f"define `sample(n)`: a payload for a create; {n} was wanted")

    def patch(self, n: int) -> Payload:
        """Returns a payload for an update that changes any sample, different for each n."""
        raise pytest.fail.Exception(f"define `patch(n)`: a payload for an update; {n} was wanted")

    def make(self, connector: Connector, count: int) -> list[str]:
        """Makes records and returns their keys; override it where the stream cannot create."""
        if not self.facts(connector).create:
            pytest.fail(f"{self.stream} does not create: override `make` to put records there")
        # A second call uses new samples: e-mail addresses and the like are unique.
        first, self._made = self._made, self._made + count
        writes = [
            Create(external_id=new_id(), payload=self.sample(n)) for n in range(first, self._made)
        ]
        batch = self.facts(connector).batch
        portions = [writes[at : at + batch] for at in range(0, count, batch)]
        return [key_of(one) for some in portions for one in connector.write(self.stream, some)]

    def edit(self, connector: Connector, key: str, n: int) -> None:
        """Changes a record; override it to do so as a user of the system."""
        if not self.facts(connector).update:
            pytest.fail(f"{self.stream} does not update: override `edit` to change a record")
        key_of(connector.write(self.stream, [Update(key, self.patch(n), if_version=None)])[0])

    def settle(self, connector: Connector) -> None:
        """Lets the overlap of increments pass: move the twin's clock, or sleep."""

    def shows(self, payload: Mapping[str, Any], patch: Mapping[str, Any]) -> bool:
        """Returns True if a record shows what was written; override it if values are rewritten."""
        return all(_shows(payload.get(name), value) for name, value in patch.items())

    def manifest(self, connector: Connector) -> Manifest:
        """Returns the manifest.yaml beside the connector's module."""
        module = sys.modules[type(connector).__module__]
        return read_manifest(Path(module.__file__ or "").with_name("manifest.yaml"))

    def facts(self, connector: Connector) -> StreamFacts:
        """Returns what the manifest claims about the stream."""
        streams = self.manifest(connector).streams
        assert self.stream in streams, (
            f"set `stream` to one that manifest.yaml declares: {', '.join(streams)}"
        )
        return streams[self.stream]

    def claims(self, connector: Connector, *names: str) -> StreamFacts:
        """Skips the test unless the manifest claims these capabilities."""
        facts = self.facts(connector)
        for name in names:
            if not getattr(facts, name):
                pytest.skip(f"manifest.yaml does not claim `{name}` for {self.stream}")
        return facts

    def claims_webhooks(self, connector: Connector) -> None:
        """Skips the test unless the manifest claims webhooks."""
        if not self.manifest(connector).webhooks:
            pytest.skip("manifest.yaml says `webhooks: false`")

    def read(self, connector: Connector, since: str | None = None) -> list[Page]:
        """Reads to the end, with a guard against reading in circles."""
        pages: list[Page] = []
        for page in connector.pages(self.stream, since):
            pages.append(page)
            assert len(pages) < _MOST_PAGES, "pages() goes in circles: stop after the last page"
        assert pages, (
            "pages() must yield at least one page, with a cursor, also when nothing changed"
        )
        return pages

    def one(self, connector: Connector, key: str) -> Record:
        """Fetches one record that must be there."""
        records = {record.key: record for record in connector.fetch(self.stream, [key]).records}
        assert key in records, f"fetch() does not return {self.stream} {key}, which exists"
        return records[key]


def new_id() -> str:
    """Returns a hub id."""
    return str(uuid.uuid4())


def key_of(outcome: Outcome) -> str:
    """Returns the key of a write that must have worked."""
    assert outcome.error is None, f"a write that must work failed: {outcome.error!r}"
    assert isinstance(outcome.key, str), "Outcome.key must be text when a write worked"
    return outcome.key


def seen(pages: Sequence[Page]) -> set[str]:
    """Returns the keys of all records of some pages."""
    return {record.key for page in pages for record in page.records}


def _shows(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(
            _shows(value.get(k), v) for k, v in wanted.items()
        )
    if isinstance(wanted, list) and any(isinstance(item, Mapping) for item in wanted):
        # The system assigns ids to the items, and may reorder them.
        items = value if isinstance(value, list) else []
        return all(any(_shows(item, each) for item in items) for each in wanted)
    return bool(value == wanted)


def paths(payload: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yields the dotted path of every value."""
    for name, value in payload.items():
        if isinstance(value, Mapping) and value:
            yield from paths(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def at(payload: Any, path: str) -> Any:
    """Returns the value at a dotted path, None when there is none."""
    for name in path.split("."):
        payload = payload.get(name) if isinstance(payload, Mapping) else None
    return payload


def values(value: Any) -> Iterator[Any]:
    """Yields every scalar in nested values."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from values(item)
    else:
        yield value


def check_form(record: Record) -> None:
    """Asserts that a record is made of plain values."""
    assert isinstance(record.key, str), "Record.key must be text, also when theirs is a number"
    assert record.version is None or isinstance(record.version, str), "versions are text or None"
    if record.modified_at is not None:
        offset = record.modified_at.utcoffset()
        assert offset == timedelta(0), "Record.modified_at must be aware and in UTC"
    try:
        text = json.dumps(record.payload, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(
            f"the payload is not JSON: {error}; write such values as text"
        ) from error
    assert json.loads(text) == record.payload, "the payload must survive JSON: text keys, lists"


def bare_request() -> Request:
    """Returns an unsigned delivery."""
    return Request(
        method="POST",
        url="https://hub.example/",
        headers={},
        body=b"{}",
        received_at=datetime.now(UTC),
    )
