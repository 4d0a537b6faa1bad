"""The end of the demo: all records of both sides are compared, and another sync writes nothing."""

from __future__ import annotations

from hub.demo.counts import Figures, count_links
from hub.demo.narration import Narration
from hub.demo.setting import Stage
from hub.sync.operate.reconcile import reconcile
from hub.sync.operate.reconciliation import Reconciliation

#: Maximum number of differences and gaps that are listed; the count covers all.
_LISTED = 20


def compare(stage: Stage, figures: Figures) -> None:
    """Notes the differences between both sides, and the writes of another sync."""
    stage.narration.step("All records of both sides are compared, field by field")
    with stage.narration.drawn() as progress:
        found = reconcile(stage.world.hub, progress=progress)
    figures.differences = len(found.different) + len(found.missing)
    figures.links = count_links(stage.world.hub)
    stage.narration.show(
        ["", "linked records", "equal pairs", "differences"],
        [
            (name, count, found.by_entity.get(name, 0), _differing(found, name))
            for name, count in figures.links.items()
        ],
    )
    _list_differences(stage.narration, found)
    report = stage.sync()
    figures.writes_second_run = report.written
    stage.narration.say(
        f"{figures.differences} differences. Synced once more: {report.written} records"
        " were written."
    )


def _list_differences(narration: Narration, found: Reconciliation) -> None:
    for one in found.different[:_LISTED]:
        narration.say(
            f"{one.entity} {one.title!r} in {one.connection}: {one.path} is {one.shown!r}, the"
            f" hub has {one.golden!r}"
        )
    for gap in found.missing[:_LISTED]:
        narration.say(f"{gap.entity} {gap.title!r}, {gap.connection}: {gap.reason}")


def _differing(found: Reconciliation, entity: str) -> int:
    different = sum(one.entity == entity for one in found.different)
    return different + sum(gap.entity == entity for gap in found.missing)
