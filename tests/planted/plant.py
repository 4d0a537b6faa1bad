"""A planted bug: a text of one file, its replacement, and the tests that must notice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Plant:
    """One bug, and the promise that it breaks."""

    name: str
    #: P1 to P12, or `security` for the receivers.
    promise: str
    #: Relative to the root of the repository.
    file: str
    #: Occurs exactly once in the file.
    sound: str
    broken: str
    #: Tests that fail with it, as pytest names them: `file.py` or `file.py::test`.
    caught_by: tuple[str, ...]

    def applies(self, root: Path = ROOT) -> bool:
        """Returns True if the text occurs exactly once."""
        return (root / self.file).read_text(encoding="utf-8").count(self.sound) == 1

    def apply(self, root: Path) -> None:
        """Breaks the file. Raises: ValueError if its text does not occur exactly once."""
        if not self.applies(root):
            raise ValueError(f"{self.name}: the text is not exactly once in {self.file}")
        path = root / self.file
        path.write_text(path.read_text(encoding="utf-8").replace(self.sound, self.broken))


def every() -> Iterator[Plant]:
    """Yields all plants."""
    from tests.planted import deciding, reading, scheduling, writing

    for table in (reading.PLANTS, writing.PLANTS, deciding.PLANTS, scheduling.PLANTS):
        yield from table
