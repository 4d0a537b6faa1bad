"""HubSpot's names: streams, their properties, and association type ids. Tables only.

Sources: [spec] HubSpot-public-api-spec-collection, 2026-09; [client] the vendor's Python client
12.0, `association_type.py`; [public] agreeing public clients, not a page of the vendor;
[unverified] what the author remembers. Change a wrong value here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from connectors.kit.errors import ContractError

#: The custom unique property that carries the hub id.
ONCE = "tulay_id"
GROUP = "tulay"

#: Maximum number of inputs of a batch call on objects [spec].
BATCH = 100
#: Maximum number of inputs of a batch read of associations [public].
ASSOCIATION_BATCH = 1000
LIST_PAGE = 100
SEARCH_PAGE = 200
SEARCH_LANE = "search"
#: Searches per second of an account, all its apps together [public].
SEARCH_LIMIT = (5, 1.0)

MERGED = "hs_merged_object_ids"
OBJECT_ID = "hs_object_id"
LINES = "line_items"
#: Properties of a line that every deal is read with.
LINE_PROPERTIES = (
    "hs_product_id",
    "hs_sku",
    "name",
    "quantity",
    "price",
    "amount",
    "discount",
    "hs_discount_percentage",
    "hs_line_item_currency_code",
)


@dataclass(frozen=True, slots=True)
class StreamNames:
    """How one stream is addressed and read."""

    #: The object type in addresses, and the stream's name.
    name: str
    #: [public], leads and activities [client]
    type_id: str
    #: First part of `subscriptionType` in webhooks; None: only through `object.*`.
    event: str | None
    properties: tuple[str, ...]
    #: Streams whose ids come with a record.
    associations: tuple[str, ...] = ()
    # quirk(hubspot): contacts alone call it `lastmodifieddate`; hs_lastmodifieddate exists there
    # too, but the search reference names the other one.
    modified: str = "hs_lastmodifieddate"
    #: Records of this stream can be merged [spec: which object types have a `merge` call].
    merges: bool = False
    #: Records have line items.
    lines: bool = False
    #: Properties a new record must have [public].
    required: tuple[str, ...] = ()


_PARTNERS = ("companies", "contacts", "deals")

STREAMS = {
    names.name: names
    for names in (
        StreamNames(
            "companies",
            "0-2",
            "company",
            ("name", "domain", "phone", "address", "city", "state", "zip", "country", "website"),
            merges=True,
        ),
        StreamNames(
            "contacts",
            "0-1",
            "contact",
            (
                "email",
                "firstname",
                "lastname",
                "phone",
                "mobilephone",
                "jobtitle",
                "lifecyclestage",
            ),
            ("companies",),
            modified="lastmodifieddate",
            merges=True,
        ),
        StreamNames(
            "products",
            "0-7",
            "product",
            ("name", "description", "price", "hs_sku", "hs_cost_of_goods_sold"),
        ),
        StreamNames(
            "deals",
            "0-3",
            "deal",
            (
                "dealname",
                "amount",
                "dealstage",
                "pipeline",
                "closedate",
                "deal_currency_code",
                "hubspot_owner_id",
                "hs_is_closed",
                "hs_is_closed_won",
            ),
            ("companies", "contacts"),
            merges=True,
            lines=True,
        ),
        StreamNames(
            "orders",
            "0-123",
            None,
            ("hs_order_name", "hs_external_order_id", "hs_currency_code", "hs_total_price"),
            _PARTNERS,
        ),
        StreamNames(
            "invoices",
            "0-53",
            None,
            ("hs_currency", "hs_invoice_date", "hs_due_date", "hs_invoice_status", "hs_number"),
            _PARTNERS,
            required=("hs_currency",),
        ),
        StreamNames(
            "tasks",
            "0-27",
            None,
            (
                "hs_timestamp",
                "hs_task_subject",
                "hs_task_body",
                "hs_task_status",
                "hs_task_priority",
                "hs_task_type",
                "hubspot_owner_id",
            ),
            _PARTNERS,
            required=("hs_timestamp",),
        ),
        StreamNames(
            "notes",
            "0-46",
            None,
            ("hs_timestamp", "hs_note_body", "hubspot_owner_id"),
            _PARTNERS,
            required=("hs_timestamp",),
        ),
    )
}

#: Line items have no stream of their own: they come with their deals.
LINE_NAMES = StreamNames(LINES, "0-8", None, ())

#: Object type id or event prefix -> stream.
BY_TYPE_ID = {names.type_id: names.name for names in STREAMS.values()}
BY_EVENT = {names.event: names.name for names in STREAMS.values() if names.event}

#: (from, to) -> type id of the plain association, the same in all accounts [client].
ASSOCIATION_TYPES: dict[tuple[str, str], int] = {
    ("contacts", "companies"): 279,
    ("contacts", "deals"): 4,
    ("companies", "contacts"): 280,
    ("companies", "deals"): 342,
    ("deals", "companies"): 341,
    ("deals", "contacts"): 3,
    ("line_items", "deals"): 20,
    ("tasks", "companies"): 192,
    ("tasks", "contacts"): 204,
    ("tasks", "deals"): 216,
    ("notes", "companies"): 190,
    ("notes", "contacts"): 202,
    ("notes", "deals"): 214,
}

#: The same where the vendor documents none: the account is asked, and these are used when it
#: does not answer that. Of the ids for contacts and deals of invoices only the reverse, 178 and
#: 176, is [public].
REPORTED_TYPES: dict[tuple[str, str], int] = {
    ("orders", "companies"): 509,  # [public]
    ("orders", "contacts"): 507,  # [public]
    ("orders", "deals"): 512,  # [public]
    ("invoices", "companies"): 179,  # [public]
    ("invoices", "contacts"): 177,  # [unverified]
    ("invoices", "deals"): 175,  # [unverified]
}

#: (from, to) -> type id that makes the association the primary one [client]. Setting it takes it
#: from the association that was primary before.
PRIMARY_TYPES: dict[tuple[str, str], int] = {
    ("contacts", "companies"): 1,
    ("deals", "companies"): 5,
    ("companies", "contacts"): 2,
    ("companies", "deals"): 6,
}

#: Pairs without a primary association of which a document has just one: an update replaces it.
SINGLE = {
    ("orders", "companies"),
    ("orders", "deals"),
    ("invoices", "companies"),
    ("invoices", "deals"),
}

#: Streams whose associations and lines people change: read as often as their number allows.
BUSY = frozenset(("contacts", "deals"))
#: Up to this many pages are read with every incremental read; beyond, five a minute.
FEW_PAGES = 3
PAUSE_PER_PAGE = timedelta(seconds=12)
#: The others are read once a day.
QUIET_PAUSE = timedelta(days=1)

PropertyType = Literal["text", "number", "boolean", "date", "datetime", "enum"]

#: Their property type -> ours [spec].
TYPES: dict[str, PropertyType] = {
    "string": "text",
    "phone_number": "text",
    "number": "number",
    "bool": "boolean",
    "date": "date",
    "datetime": "datetime",
    "enumeration": "enum",
}

#: Our type -> their (type, fieldType) for new properties [spec]. An enum whose options are unknown
#: becomes a text, which accepts any value.
NEW_PROPERTIES: dict[str, tuple[str, str]] = {
    "text": ("string", "text"),
    "number": ("number", "number"),
    "integer": ("number", "number"),
    "boolean": ("bool", "booleancheckbox"),
    "date": ("date", "date"),
    "datetime": ("datetime", "date"),
    "enum": ("enumeration", "select"),
}

#: Longest text of a property in characters [public].
TEXT_LENGTH = 65_536


def stream_names(stream: str) -> StreamNames:
    """Returns the facts about a stream. Raises: ContractError when there is no such stream."""
    try:
        return STREAMS[stream]
    except KeyError as error:
        raise ContractError(
            f"HubSpot has no stream {stream!r} here; streams are {', '.join(STREAMS)}"
        ) from error
