"""Pipelines and stages: the ones of a fresh account, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from connectors.hubspot.twin.property_values import iso


@dataclass(slots=True)
class Stage:
    """One stage of a pipeline."""

    id: str
    label: str
    order: int
    metadata: dict[str, str]
    created: int
    updated: int

    def shown(self) -> dict[str, Any]:
        """Returns it as the API shows it."""
        return {
            "id": self.id,
            "label": self.label,
            "displayOrder": self.order,
            "metadata": self.metadata,
            "createdAt": iso(self.created),
            "updatedAt": iso(self.updated),
            "archived": False,
            "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
        }


@dataclass(slots=True)
class Pipeline:
    """A pipeline with its stages by id."""

    id: str
    label: str
    order: int
    created: int
    updated: int
    stages: dict[str, Stage] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Returns it as the API shows it."""
        stages = sorted(self.stages.values(), key=lambda stage: stage.order)
        return {
            "id": self.id,
            "label": self.label,
            "displayOrder": self.order,
            "stages": [stage.shown() for stage in stages],
            "createdAt": iso(self.created),
            "updatedAt": iso(self.updated),
            "archived": False,
        }


#: Object type -> pipeline id, label, stages of (id, label, probability or state).
_FRESH: dict[str, tuple[str, str, list[tuple[str, str, str]]]] = {
    "deals": (
        "default",
        "Sales Pipeline",
        [
            ("appointmentscheduled", "Appointment Scheduled", "0.2"),
            ("qualifiedtobuy", "Qualified To Buy", "0.4"),
            ("presentationscheduled", "Presentation Scheduled", "0.6"),
            ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
            ("contractsent", "Contract Sent", "0.9"),
            ("closedwon", "Closed Won", "1.0"),
            ("closedlost", "Closed Lost", "0.0"),
        ],
    ),
    "tickets": (
        "0",
        "Support Pipeline",
        [
            ("1", "New", "OPEN"),
            ("2", "Waiting on contact", "OPEN"),
            ("3", "Waiting on us", "OPEN"),
            ("4", "Closed", "CLOSED"),
        ],
    ),
    "orders": (
        "14a2e10e-5471-408a-906e-c51f3b04369e",
        "Order Pipeline",
        [
            ("4b27b500-f031-4927-9811-68a0b525cbae", "Open", "OPEN"),
            ("937ea84d-0a4f-4dcf-9028-3f9c2aafbf03", "Processed", "OPEN"),
            ("3725360f-519b-4b18-a593-494d60a29c9f", "Shipped", "OPEN"),
            ("aa99e8d0-c1d5-4071-b915-d240bbb1aed9", "Delivered", "CLOSED"),
            ("3c85a297-e9ce-400b-b42e-9f16853d69d6", "Cancelled", "CLOSED"),
        ],
    ),
}


def _metadata(kind: str, mark: str) -> dict[str, str]:
    if kind == "deals":
        return {"probability": mark, "isClosed": "true" if mark in ("1.0", "0.0") else "false"}
    return {"ticketState" if kind == "tickets" else "state": mark}


def fresh_pipelines(at: int) -> dict[str, dict[str, Pipeline]]:
    """Returns the pipelines of an account on its first day."""
    found: dict[str, dict[str, Pipeline]] = {}
    for kind, (key, label, stages) in _FRESH.items():
        pipeline = Pipeline(key, label, 0, at, at)
        for order, (stage, title, mark) in enumerate(stages):
            pipeline.stages[stage] = Stage(stage, title, order, _metadata(kind, mark), at, at)
        found[kind] = {key: pipeline}
    return found
