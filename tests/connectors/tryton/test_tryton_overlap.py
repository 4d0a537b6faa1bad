"""Two reads of a Tryton overlap: what was committed late is seen again rather than missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.tryton.reading import Reader
from connectors.tryton.stream_models import STREAMS


class QuietClient:
    """An empty Tryton that records its calls."""

    def __init__(self) -> None:
        self.server_date = datetime(2026, 11, 23, 8, tzinfo=UTC)
        self.asked: list[Any] = []

    def context(self) -> dict[str, Any]:
        return {}

    def count(self, model: str, domain: Any) -> int:
        return 0

    def search_read(
        self, model: str, domain: Any, fields: Any, *, limit: int | None = None
    ) -> list[dict[str, Any]]:
        self.asked.append(repr(domain))
        return []


def test_reads_overlap() -> None:
    client = QuietClient()
    reader = Reader(client, overlap=timedelta(minutes=2))  # type: ignore[arg-type]
    stream = STREAMS["product.product"]
    (first,) = reader.pages(stream, None)
    client.server_date += timedelta(hours=1)
    list(reader.pages(stream, first.cursor))
    edge = "datetime', 'year': 2026, 'month': 11, 'day': 23, 'hour': 7, 'minute': 58"
    assert edge in client.asked[-1]
