"""Keys of tulay.yaml that were renamed; the old name works for one release. See `Rename`."""

from __future__ import annotations

from mappings.kit.renames import Rename

_OF_FIELDS = {"both": "on_conflict", "first": "on_first_match", "blank": "when_blank"}

RENAMES = (
    Rename("policies.*.adopt", "import"),
    *(Rename(f"policies.*.default.{old}", new) for old, new in _OF_FIELDS.items()),
    *(Rename(f"policies.*.fields.*.{old}", new) for old, new in _OF_FIELDS.items()),
    Rename("limits.within", "window"),
    Rename("limits.busy", "window_share"),
    Rename("limits.flips", "reversals"),
    Rename("connections.*.budget.bulk", "bulk_share"),
)
