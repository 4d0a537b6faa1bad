"""What the flows fill: for deciding which fields of a system are worth creating."""

from __future__ import annotations

from collections.abc import Mapping

from hub.flows.settings import FlowSettings

#: Entity -> fields and branches that flows set on records that exist already.
_FIGURES: Mapping[str, tuple[str, ...]] = {
    "company": ("figures",),
    "opportunity": ("order_number", "order_state"),
}


def fills(settings: FlowSettings, entity: str, path: str) -> bool:
    """Returns True if a flow that is switched on may set this path.

    >>> flows = FlowSettings()
    >>> fills(flows, "company", "figures.currency"), fills(flows, "company", "name")
    (True, False)
    """
    if entity == "sales_order":
        # Its production state follows from production orders; won deals become whole orders.
        return settings.won_deal_to_order or path == "production_state"
    if entity == "activity":
        return settings.thank_you or settings.overdue_reminder or settings.waiting_note
    branches = _FIGURES.get(entity, ()) if settings.figures else ()
    return any(path == branch or path.startswith(f"{branch}.") for branch in branches)
