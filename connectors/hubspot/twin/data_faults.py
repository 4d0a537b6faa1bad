"""Bad habits of the account that do not show on the line: what the twin does when told to.

Rows of batches that fail or are forgotten, an admin's rules, values written in another way, records
that move or vanish while pages are read. All by chance; nothing happens without chances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from connectors.hubspot.twin.error_bodies import Issue
from connectors.hubspot.twin.properties_schema import Property
from connectors.hubspot.twin.stored_record import Record
from connectors.kit.faults import FAULTS, Chances, FaultDice, luck, ways

#: What the twin can be: HubSpot's cursors are moments and ids, which do not expire.
KNOWN = frozenset(FAULTS) - {"cursor"}
#: How late a change shows in search, and which changes share one time, in milliseconds.
LAG_MS, TIE_MS = 3_000, 1_000


@dataclass
class DataFaults:
    """What the account does to its callers now."""

    dice: FaultDice = field(default_factory=FaultDice)
    #: Property -> upper | truncate:N | round:N; also without any fault.
    ways: dict[str, str] = field(default_factory=dict)
    #: Records that are in the bin only while pages are read.
    away: list[Record] = field(default_factory=list)

    def take_on(self, chances: Chances, seed: int) -> None:
        """Resets, with these faults switched on."""
        self.dice = FaultDice(dict(chances), seed)
        self.ways = ways(chances)

    def stamp(self, ms: int) -> int:
        """Returns the time that a change at this moment carries."""
        return ms - ms % TIE_MS if self.dice.on("ties") else ms

    def row(self) -> str:
        """Returns the fate of one row of a batch: done, refused or silent (done and not told)."""
        if not self.dice.strikes("partial"):
            return "done"
        return "refused" if self.dice.roll("row") < 0.5 else "silent"

    def written(self, prop: Property, text: str) -> str:
        """Returns a text the way the account writes it down.

        >>> from connectors.hubspot.twin.properties_schema import fresh_kinds
        >>> city = fresh_kinds()["companies"].properties["city"]
        >>> DataFaults(ways={"city": "upper"}).written(city, "Bonn")
        'BONN'
        """
        way, _, figure = self.ways.get(prop.name, "").partition(":")
        if way == "upper":
            return text.upper()
        if way == "truncate":
            return text[: int(figure)]
        if way == "round":
            step = Decimal(1).scaleb(-int(figure))
            return f"{Decimal(text).quantize(step, ROUND_HALF_UP).normalize():f}"
        return text

    def rule(self, prop: Property, text: str, about: str) -> Issue | None:
        """Returns what an admin's rule has against a value of a record: always the same.

        HubSpot enforces such rules on API writes from 2026-09 on, with a 400 VALIDATION_ERROR that
        names the property (changelog "CRM API Write Validation Enforcement"). The code is ours.
        """
        chance = self.dice.chances.get("refused", 0.0)
        if not chance or prop.type != "string" or prop.unique:
            return None
        if luck(self.dice.seed, "refused", about, prop.name, text) >= chance:
            return None
        return Issue(prop.name, "INVALID_VALUE", f"{prop.name} breaks a rule of this account.")


def told_apart(values: Mapping[str, object], record: Record | None) -> str:
    """Returns what a rule knows a record by: the same when a write is made again."""
    return str(record.id) if record is not None else str(values.get("tulay_id") or "")
