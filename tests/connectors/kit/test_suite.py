"""The contract suite notices connectors that break the contract, and says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from _pytest.pytester import RunResult

from connectors.kit.contract import Connector, Outcome, Page, Record, Update, Write
from connectors.kit.manifest import Manifest
from connectors.kit.registry import manifests
from connectors.kit.suite import ConnectorContract
from connectors.memory import MemoryConnector, MemorySystem, manifest_of

#: For `suite_of`.
pytest_plugins = ("pytester",)

ROOT = Path(__file__).parents[3]
README = (ROOT / "connectors" / "README.md").read_text(encoding="utf-8")


class Subject(ConnectorContract):
    """The suite for `companies` of a memory system; not collected, but called test by test."""

    stream = "companies"

    def sample(self, n: int) -> dict[str, Any]:
        return {"name": f"Customer {n}", "city": "Bonn"}

    def patch(self, n: int) -> dict[str, Any]:
        return {"name": f"Renamed {n}"}

    def manifest(self, connector: Connector) -> Manifest:
        assert isinstance(connector, MemoryConnector)
        return manifest_of(connector.system)


class Forgetful(MemoryConnector):
    def pages(self, stream: str, since: str | None) -> Iterator[Page]:
        """Loses the last record of each page."""
        for page in super().pages(stream, since):
            yield replace(page, records=page.records[:-1])


class Cursorless(MemoryConnector):
    def pages(self, stream: str, since: str | None) -> Iterator[Page]:
        for page in super().pages(stream, since):
            yield replace(page, cursor=None)


class Skipping(MemoryConnector):
    def pages(self, stream: str, since: str | None) -> Iterator[Page]:
        """Returns the final cursor in the middle."""
        end = [page.cursor for page in super().pages(stream, None)][-1]
        for page in super().pages(stream, since):
            yield replace(page, cursor=end)


class Rereading(MemoryConnector):
    def pages(self, stream: str, since: str | None) -> Iterator[Page]:
        return super().pages(stream, None)


class Silent(MemoryConnector):
    def fetch(self, stream: str, keys: Sequence[str]) -> Page:
        return replace(super().fetch(stream, keys), gone=())

    def check(self) -> Sequence[Any]:
        return []

    def keys(self, stream: str) -> Iterator[Sequence[str]]:
        return iter(list(super().keys(stream))[:1])


class Blind(MemoryConnector):
    def find(self, stream: str, external_ids: Sequence[str]) -> Mapping[str, Record]:
        return {}


class Careless(MemoryConnector):
    def write(self, stream: str, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Ignores `if_version`, and answers in the wrong order."""
        free = [replace(w, if_version=None) if isinstance(w, Update) else w for w in writes]
        return list(super().write(stream, free))[::-1]


class Sinking(MemoryConnector):
    def write(self, stream: str, writes: Sequence[Write]) -> Sequence[Outcome]:
        outcomes = super().write(stream, writes)
        for outcome in outcomes:
            if outcome.error:
                raise outcome.error
        return outcomes


class Typed(MemoryConnector):
    def fetch(self, stream: str, keys: Sequence[str]) -> Page:
        page = super().fetch(stream, keys)
        records = [replace(r, payload={**r.payload, "total": Decimal(1)}) for r in page.records]
        return replace(page, records=records)


class Frozen(MemoryConnector):
    def fetch(self, stream: str, keys: Sequence[str]) -> Page:
        page = super().fetch(stream, keys)
        return replace(page, records=[replace(r, version="1") for r in page.records])


@pytest.mark.parametrize(
    ("connector", "test", "hint"),
    [
        (Forgetful, "full_read_brings_every_record", "skipped"),
        (Cursorless, "full_read_ends_with_a_cursor", "must have a cursor"),
        (Skipping, "full_read_continues_from_any_page", "skips"),
        (Rereading, "increment_leaves_out_what_did_not_change", "claim `read: full`"),
        (Silent, "fetch_accounts_for_every_key", "`gone`"),
        (Silent, "check_has_findings_and_no_errors", "Finding"),
        (Silent, "sweep_brings_every_key", "deleted"),
        (Blind, "create_is_found_by_its_hub_id", "find()"),
        (Careless, "stale_update_is_refused", "claim `lock: none`"),
        (Careless, "one_bad_row_does_not_sink_the_others", "order"),
        (Typed, "records_are_plain_values", "not JSON"),
        (Frozen, "update_can_be_read_back", "version"),
    ],
)
def test_a_broken_promise_is_noticed(
    connector: type[MemoryConnector], test: str, hint: str
) -> None:
    system = MemorySystem("crm")
    with pytest.raises(AssertionError, match=re.escape(hint)):
        getattr(Subject(), f"test_{test}")(connector.of(system, page=2, overlap=0))


def test_an_exception_of_a_batch_is_not_hidden() -> None:
    from connectors.kit.errors import RecordMissingError

    with pytest.raises(RecordMissingError):
        Subject().test_one_bad_row_does_not_sink_the_others(Sinking.of(MemorySystem("crm")))


def test_claims_a_manifest_lacks_are_skipped() -> None:
    system = MemorySystem("crm")
    facts = system.shape("companies").facts.model_copy(update={"lock": "none"})
    system.declare("companies", facts=facts)
    with pytest.raises(pytest.skip.Exception, match="lock: none"):
        Subject().test_stale_update_is_refused(Careless.of(system))


def test_a_missing_definition_is_named() -> None:
    """A definition that the author left out is named."""
    with pytest.raises(pytest.fail.Exception, match="define `sample"):
        ConnectorContract().sample(0)


def test_the_readme_example_keeps_the_contract(
    tmp_path: Path, suite_of: Callable[[Path], RunResult]
) -> None:
    blocks = re.findall(r"^```\w+\n# (pocket/\S+)\n(.*?)^```", README, re.S | re.M)
    assert len(blocks) == 5
    for path, text in blocks:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (tmp_path / "pocket" / "__init__.py").touch()
    connector = (tmp_path / "pocket" / "connector.py").read_text(encoding="utf-8")
    assert len(connector.splitlines()) < 150
    assert manifests([tmp_path])["pocket"].streams["people"].read == "full"
    done = suite_of(tmp_path / "pocket")
    assert done.ret == 0
    assert "passed" in str(done.stdout)
