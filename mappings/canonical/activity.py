"""A task or a note for a salesperson."""

from __future__ import annotations

from mappings.canonical.values import Entity, Field

ACTIVITY = Entity(
    name="activity",
    fields={
        "kind": Field("enum", options=("task", "note")),
        "subject": Field("text", "tasks only"),
        "body": Field("text"),
        "due_at": Field("datetime", "of a note: when it was written"),
        "status": Field("enum", "tasks only", ("open", "done")),
        "owner": Field("text", "the salesperson, as the CRM names them"),
        "company": Field("reference", entity="company"),
        "opportunity": Field("reference", entity="opportunity"),
    },
    title="subject",
    label=("Activity", " about {company}", ": {subject}"),
)
