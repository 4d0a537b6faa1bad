"""A contact person, usually at a company."""

from __future__ import annotations

from mappings.canonical.values import Entity, Field

CONTACT = Entity(
    name="contact",
    fields={
        "first_name": Field("text"),
        "last_name": Field("text"),
        "email": Field("email"),
        "phone": Field("phone"),
        "mobile": Field("phone"),
        "job_title": Field("text"),
        "company": Field("reference", entity="company"),
        "owner": Field("text", "the salesperson, as the CRM names them"),
    },
    match=(("email",),),
    suggest=(("first_name", "last_name", "company"),),
    title="last_name",
    label=("{last_name}", ", {first_name}", " <{email}>"),
)
