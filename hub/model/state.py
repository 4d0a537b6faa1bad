"""The state of a link: seen, agreed and shown per field, stored sparsely.

In sync means `golden == agreed and seen == shown`. A link in sync has nothing but `seen`: `agreed`
and `shown` are kept only where they differ from it. Blanks are not stored in `seen`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mappings.canonical.values import Scalar, Values


@dataclass(slots=True)
class LinkState:
    """Per path: the last value observed, the golden value last agreed, how it was shown then."""

    seen: Values = field(default_factory=dict)
    #: Only where different from `seen`; an explicit None is a blank.
    agreed: Values = field(default_factory=dict)
    #: Only where different from `seen`; an explicit None is a blank.
    shown: Values = field(default_factory=dict)

    def seen_at(self, path: str) -> Scalar:
        """Returns the last value observed."""
        return self.seen.get(path)

    def agreed_at(self, path: str) -> Scalar:
        """Returns the golden value when this system last agreed."""
        return self.agreed[path] if path in self.agreed else self.seen.get(path)

    def shown_at(self, path: str) -> Scalar:
        """Returns what the system showed when it last agreed."""
        return self.shown[path] if path in self.shown else self.seen.get(path)

    def put(self, path: str, *, seen: Scalar, agreed: Scalar, shown: Scalar) -> None:
        """Sets all three values and keeps the sparse form.

        >>> link = LinkState()
        >>> link.put("name", seen="ACME", agreed="Acme", shown="ACME")
        >>> link
        LinkState(seen={'name': 'ACME'}, agreed={'name': 'Acme'}, shown={})
        """
        if seen is None:
            self.seen.pop(path, None)
        else:
            self.seen[path] = seen
        for store, value in ((self.agreed, agreed), (self.shown, shown)):
            if value == seen:
                store.pop(path, None)
            else:
                store[path] = value

    def copy(self) -> LinkState:
        """Returns an independent copy."""
        return LinkState(dict(self.seen), dict(self.agreed), dict(self.shown))

    def in_sync(self, golden: Mapping[str, Scalar], paths: Iterable[str]) -> bool:
        """Returns True if golden == agreed and seen == shown for these paths."""
        return all(
            golden.get(p) == self.agreed_at(p) and self.seen.get(p) == self.shown_at(p)
            for p in paths
        )
