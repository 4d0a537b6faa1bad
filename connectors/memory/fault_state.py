"""The active faults of a memory system, their draws, and how often each has struck.

Kept in the system's file, so that all processes draw from one sequence and count together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from connectors.kit.faults import luck
from connectors.memory.shapes import Fault, Faults
from connectors.memory.storage_tables import Tables


class FaultState:
    """What goes wrong now, the clock included."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        #: The true time; may be replaced.
        self.clock = clock
        #: The newest text that was parsed, and what it says.
        self._parsed: tuple[str | None, Faults] = (None, Faults())

    @property
    def faults(self) -> Faults:
        """The current faults, in every process."""
        text = self._tables.note("faults")
        if text != self._parsed[0]:
            self._parsed = (text, Faults.model_validate_json(text) if text else Faults())
        return self._parsed[1]

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._tables.remember("faults", faults.model_dump_json())

    def moment(self) -> datetime:
        """Returns the time by the system's clock, which may be wrong."""
        return self.clock() + timedelta(seconds=self.faults.skew)

    # -- what strikes

    def roll(self, *about: object) -> float:
        """Returns the next number from 0 up to 1 of a sequence that all processes share."""
        return luck(self.faults.seed, *about, self._tables.next("roll"))

    def strikes(self, fault: str) -> bool:
        """Returns True if a fault strikes now."""
        chance = self.faults.chances.get(fault, 0.0)
        strikes = chance > 0 and self.roll(fault) < chance
        if strikes:
            self.has_happened(fault)
        return strikes

    def scripted(self, possible: Sequence[Fault]) -> Fault | None:
        """Takes the next fault of the script if it is possible now, in one process only."""
        with self._tables.transaction():
            faults = self.faults
            if not faults.script or faults.script[0] not in possible:
                return None
            self.faults = faults.model_copy(update={"script": faults.script[1:]})
            return faults.script[0]

    # -- what has struck

    def has_happened(self, fault: str) -> None:
        """Counts that a fault has struck, for all processes together."""
        self._tables.next(f"struck {fault}")

    def struck(self) -> dict[str, int]:
        """Returns fault -> how often it has struck; a clock that is wrong counts once."""
        found = {name: int(n) for name, n in self._tables.notes("next struck ").items() if n != "0"}
        return found | ({"skew": 1} if self.faults.skew else {})

    def forget_happened(self) -> None:
        """Resets the count of how often faults struck."""
        for name in self._tables.notes("next struck "):
            self._tables.remember(f"next struck {name}", "0")

    # -- what is hidden

    def hide(self, stream: str, share: float) -> None:
        """Hides a share of a stream's records, as if a permission was revoked; 0: none."""
        hidden = {**self.faults.hidden, stream: share}
        self.faults = self.faults.model_copy(
            update={"hidden": {name: part for name, part in hidden.items() if part}}
        )

    def hides(self, stream: str, key: str) -> bool:
        """Returns True if a record is invisible now."""
        share = self.faults.hidden.get(stream, 0.0)
        return share > 0 and luck(self.faults.seed, "hidden", stream, key) < share
