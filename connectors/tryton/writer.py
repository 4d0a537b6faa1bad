"""Writes batches: splits them by what is to be done, in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from connectors.kit.contract import Action, Create, Delete, Outcome, Update, Write
from connectors.tryton.batches import Batch
from connectors.tryton.buttons import Buttons
from connectors.tryton.changing import Changer
from connectors.tryton.client import TrytonClient
from connectors.tryton.creating import Creator
from connectors.tryton.ordering import Clerk
from connectors.tryton.phones import Phones
from connectors.tryton.reading import Reader
from connectors.tryton.stream_models import Stream
from connectors.tryton.write_values import Translator


class Writer:
    """Writes to the streams of one Tryton."""

    def __init__(self, client: TrytonClient, reader: Reader, *, payment_term: str | None) -> None:
        self._client = client
        self._payment_term = payment_term
        translator, phones = Translator(client), Phones(client)
        changer = Changer(client, reader, translator, phones=phones)
        self._kinds: dict[type[Any], Callable[..., None]] = {
            Create: Creator(client, reader, translator, phones=phones).write,
            Update: changer.write,
            Delete: changer.write,
            Action: Buttons(client, reader).write,
        }

    def write(self, stream: Stream, writes: Sequence[Write]) -> list[Outcome]:
        """Writes all and returns one outcome each, in the same order.

        Raises: whatever error has kept every single one from being sent.
        """
        batch = Batch(Clerk(self._client, self._payment_term))
        numbered = enumerate(writes)
        for write, members in groupby(numbered, lambda pair: self._kinds[type(pair[1])]):
            write(stream, list(members), batch)
        outcomes = [batch.outcomes[index] for index in range(len(writes))]
        if batch.broken and all(outcome.error is batch.broken for outcome in outcomes):
            raise batch.broken
        return outcomes
