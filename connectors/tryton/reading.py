"""Reads streams: what changed, some keys, all keys, earlier creates. Writes nothing.

A read walks the ids upwards under a fixed question, so that nothing that changes meanwhile can
shift it; whatever changes behind it is in the window of the next read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from connectors.kit.contract import Merge, Page, Record
from connectors.kit.errors import ContractError, CredentialsError, CursorExpiredError
from connectors.tryton.client import Domain, Row, TrytonClient
from connectors.tryton.people import complete, was
from connectors.tryton.stream_models import CONTACT, SALE_LINE, Stream
from connectors.tryton.wire_values import MARK, last_moment, make_version, moment_to_wire

#: Records per page.
PAGE = 200
#: Keys per portion of a sweep.
PORTION = 5_000
#: More merges in a row than this are a circle.
MOST_MERGES = 10
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Reader:
    """Reads the streams of one Tryton."""

    def __init__(self, client: TrytonClient, *, overlap: timedelta, page: int = PAGE) -> None:
        self._client = client
        #: The longest time a transaction on the server may take before it commits.
        self._overlap = overlap
        self._page = page
        self._own: list[int] | None = None
        #: The server tells what was deleted.
        self._logs = True

    def pages(self, stream: Stream, since: str | None) -> Iterator[Page]:
        """Yields what changed since the cursor, in ascending order of ids."""
        window, after, start = _read_cursor(since)
        domain = self._domain(stream)
        if window is not None:
            domain = self._changed(stream, window, everything=self._lost_parts(stream, window))
        total = self._client.count(stream.model, domain)
        start = start or self._now() - self._overlap
        while True:
            rows = self._rows(stream, [*domain, ["id", ">", after]], limit=self._page)
            if len(rows) < self._page:
                yield self._as_page(stream, rows, cursor=_cursor(start), total=total)
                return
            after = int(rows[-1]["id"])
            cursor = _cursor(window, after=after, start=start)
            yield self._as_page(stream, rows, cursor=cursor, total=total)

    def fetch(self, stream: Stream, keys: Sequence[str]) -> Page:
        """Reads some records now; a merged one brings the record that survived."""
        rows = self.rows(stream, keys)
        page = self._as_page(stream, list(rows.values()), cursor=None)
        missing = [key for key in keys if key not in rows]
        records, merges = list(page.records), list(page.merges)
        gone = [*page.gone, *missing]
        for _ in range(MOST_MERGES):
            known = {*(record.key for record in records), *gone, *(m.key for m in merges)}
            wanted = sorted({merge.into for merge in merges} - known)
            if not wanted:
                break
            survivors = self.rows(stream, wanted)
            more = self._as_page(stream, list(survivors.values()), cursor=None)
            records.extend(more.records)
            merges.extend(more.merges)
            gone.extend([*more.gone, *(key for key in wanted if key not in survivors)])
        return Page(records=records, gone=gone, merges=merges)

    def keys(self, stream: Stream) -> Iterator[Sequence[str]]:
        """Yields all keys in portions, in ascending order."""
        domain, after = self._domain(stream), 0
        while True:
            found = self._client.search(stream.model, [*domain, ["id", ">", after]], limit=PORTION)
            if found:
                yield [str(key) for key in found]
            if len(found) < PORTION:
                return
            after = found[-1]

    def find(self, stream: Stream, external_ids: Sequence[str]) -> Mapping[str, Record]:
        """Returns the records that carry one of these hub ids; the oldest when several do."""
        if not stream.once or not external_ids:
            return {}
        rows = self._rows(stream, [*stream.scope, _carries(stream, external_ids)])
        found: dict[str, Record] = {}
        for record in self._records(stream, rows):
            if record.external_id is not None and record.external_id in external_ids:
                found.setdefault(record.external_id, record)
        return found

    def rows(self, stream: Stream, keys: Sequence[str]) -> dict[str, Row]:
        """Returns the rows that exist, by key."""
        ids = [int(key) for key in keys if key.isdecimal()]
        if not ids:
            return {}
        # quirk(tryton): reading a missing id refuses all of them; searching does not.
        # Source: trytond 8.2, seen live
        rows = self._rows(stream, [*self._scope(stream), ["id", "in", ids]])
        return {str(row["id"]): row for row in rows}

    def _rows(self, stream: Stream, domain: Domain, *, limit: int | None = None) -> list[Row]:
        rows = self._client.search_read(stream.model, domain, stream.fields(), limit=limit)
        complete(stream, rows, self._successors)
        return rows

    def _successors(self, keys: Sequence[int]) -> list[Row]:
        """Returns the contacts that were one of these before they moved to another party."""
        clauses = [["comment", "like", f"%{_literal(was(key))}%"] for key in keys]
        return self._client.search_read(CONTACT.model, [["OR", *clauses]], ["comment"])

    def _domain(self, stream: Stream) -> Domain:
        return [*self._scope(stream), *stream.filter]

    def _scope(self, stream: Stream) -> Domain:
        domain = list(stream.scope)
        if stream.by_company and (company := self._client.context().get("company")):
            domain.append(["company", "=", company])
        if stream.model == "party.party":
            domain.append(["id", "not in", self._own_parties()])
        return domain

    def _own_parties(self) -> list[int]:
        """Returns the parties that are this Tryton's own companies."""
        if self._own is None:
            rows = self._client.search_read("company.company", [], ["party"])
            self._own = [int(row["party"]) for row in rows]
        return self._own

    def _lost_parts(self, stream: Stream, window: datetime) -> bool:
        """Returns True if rows that payloads list were deleted: their owners are unknown."""
        # quirk(tryton): the log has each deletion, but no longer says of which record it was; it
        # can still be searched by model. Source: trytond 8.2, seen live
        parts = stream.part_models()
        if not parts or not self._logs:
            return False
        edge = moment_to_wire(window)
        of_parts = ["OR", *(["resource", "like", f"{model},%"] for model in parts)]
        deleted = [["event", "=", "delete"], ["create_date", ">=", edge], of_parts]
        try:
            return self._client.count("ir.model.log", deleted) > 0
        except (CredentialsError, ContractError):
            # This user may not read it, or there is none: the record's next change will show it.
            self._logs = False
            return False

    def _changed(self, stream: Stream, window: datetime, *, everything: bool) -> Domain:
        edge = moment_to_wire(window)
        paths = ("", *(f"{path}." for path in stream.watched()))
        # quirk(tryton): `write_date` is null until the first change. Source: trytond, seen live
        clauses = [
            [f"{path}{name}", ">=", edge]
            for path in paths
            for name in ("write_date", "create_date")
        ]
        either = ["OR", ["write_date", ">=", edge], ["create_date", ">=", edge]]
        some = [[path, "where", [*rows, either]] for path, rows in stream.watch_some.items()]
        whole = [stream.filter] if everything else []
        return [*self._scope(stream), ["OR", *clauses, *some, *whole]]

    def _now(self) -> datetime:
        moment = self._client.server_date
        if moment is None:
            raise ContractError("Tryton's answers carry no Date header; is a proxy removing it?")
        return moment

    def _as_page(
        self, stream: Stream, rows: list[Row], *, cursor: str | None, total: int | None = None
    ) -> Page:
        merges = [
            Merge(str(row["id"]), str(row["replaced_by"])) for row in rows if row.get("replaced_by")
        ]
        whole = [row for row in rows if not row.get("replaced_by")]
        members = [row for row in whole if stream.member is None or stream.member(row)]
        records = self._records(stream, members)
        kept = {record.key for record in records}
        gone = [str(row["id"]) for row in whole if str(row["id"]) not in kept]
        return Page(records=records, gone=gone, merges=merges, cursor=cursor, total=total)

    def _records(self, stream: Stream, rows: list[Row]) -> list[Record]:
        sales = self._sales(stream, rows)
        records = [make_record(stream, row, sales) for row in rows]
        return sorted(records, key=lambda record: record.modified_at or LONG_AGO)

    def _sales(self, stream: Stream, rows: list[Row]) -> dict[str, str]:
        """Returns the sale of each sale line that the rows refer to."""
        if stream.trace is None:
            return {}
        traced = {each for row in rows for each in stream.trace(row)}
        ids = {each.removeprefix(SALE_LINE) for each in traced if each.startswith(SALE_LINE)}
        wanted = sorted(int(key) for key in ids if key.isdecimal())
        if not wanted:
            return {}
        found = self._client.search_read("sale.line", [["id", "in", wanted]], ["sale"])
        return {f"{SALE_LINE}{row['id']}": str(row["sale"]) for row in found}


def make_record(stream: Stream, row: Row, sales: Mapping[str, str]) -> Record:
    """Makes a record of a row."""
    covered = list(stream.rows(row))
    return Record(
        key=str(row["id"]),
        payload=stream.payload(row, sales),
        version=make_version(covered),
        modified_at=last_moment(each for _, each in covered),
        external_id=stream.external_id_of(row),
    )


def _carries(stream: Stream, external_id: Sequence[str]) -> Domain:
    marks = [f"{MARK}{each}" for each in external_id]
    if stream.once == "identifiers":
        return ["identifiers.code", "in", marks]
    ends = [[stream.once, "like", f"% {_literal(mark)}"] for mark in marks]
    return ["OR", [stream.once, "in", marks], *ends]


def _literal(text: str) -> str:
    r"""Escapes what `like` takes for a wildcard.

    >>> _literal("50%_")
    '50\\%\\_'
    """
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _cursor(
    window: datetime | None, *, after: int | None = None, start: datetime | None = None
) -> str:
    place: dict[str, Any] = {"from": window}
    if start is not None:
        place |= {"after": after, "start": start}
    return orjson.dumps(place).decode()


def _read_cursor(cursor: str | None) -> tuple[datetime | None, int, datetime | None]:
    if cursor is None:
        return None, 0, None
    try:
        place = orjson.loads(cursor)
        window, start = place["from"], place.get("start")
        return (
            datetime.fromisoformat(window) if window else None,
            int(place.get("after") or 0),
            datetime.fromisoformat(start) if start else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CursorExpiredError("this is no cursor of Tryton: read the stream again") from error
