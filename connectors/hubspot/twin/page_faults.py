"""What happens to records while their pages are read: some change, some vanish for a while."""

from __future__ import annotations

from contextlib import suppress

from connectors.hubspot.twin.account import Account
from connectors.hubspot.twin.error_bodies import Refusal
from connectors.hubspot.twin.properties_schema import Kind
from connectors.hubspot.twin.stored_record import UI, Record


def turn_page(account: Account, kind: Kind) -> None:
    """Applies what happens between two pages of a read."""
    bring_back(account)
    for hook in account.between_pages:
        hook(kind.name)
    dice = account.data_faults.dice
    if dice.strikes("moving") and (record := _anyone(account, kind, "moved")):
        account.touch(record)
    if dice.strikes("vanishing") and (record := _anyone(account, kind, "away")):
        account.archive(record, source=UI)
        account.data_faults.away.append(record)


def bring_back(account: Account) -> None:
    """Restores the records that vanished."""
    away, account.data_faults.away = account.data_faults.away, []
    for record in away:
        if record.archived is not None:
            with suppress(Refusal):  # another record has taken its unique value: it stays there
                account.restore(record)


def _anyone(account: Account, kind: Kind, name: str) -> Record | None:
    records = list(account.live(kind))
    return records[int(account.data_faults.dice.roll(name) * len(records))] if records else None
