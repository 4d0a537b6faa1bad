"""Which object types a fresh account has, and their properties: tables, facts only.

A property is `name:type`, `!` marks a read-only one, `*` one with unique values; an enumeration
names its option list in brackets. Source: the vendor's property reference and public specs.
"""

from __future__ import annotations

from dataclasses import dataclass

_SHARED = """hs_object_id:number! hs_merged_object_ids:enumeration!
hubspot_owner_id:enumeration(owners) hubspot_team_id:enumeration! hs_all_owner_ids:enumeration!
hs_object_source:string! hs_object_source_id:string! hs_object_source_label:string!
hs_created_by_user_id:number! hs_updated_by_user_id:number! hubspot_owner_assigneddate:datetime!"""

_ADDRESS = "address:string city:string state:string zip:string country:string phone:phone_number"

_CONTACTS = f"""{_ADDRESS} email:string* firstname:string lastname:string salutation:string
mobilephone:phone_number fax:string jobtitle:string company:string website:string
lifecyclestage:enumeration(lifecycle) hs_lead_status:enumeration(leads) hs_language:string
industry:string numemployees:string annualrevenue:string message:string date_of_birth:string
hs_additional_emails:enumeration associatedcompanyid:number! hs_email_domain:string!
hs_email_optout:bool! createdate:datetime! lastmodifieddate:datetime!
hs_lastmodifieddate:datetime! notes_last_contacted:datetime! num_associated_deals:number!"""

_COMPANIES = f"""{_ADDRESS} address2:string name:string domain:string website:string
industry:enumeration(industries) description:string type:enumeration(company_types)
annualrevenue:number numberofemployees:number founded_year:string timezone:string
lifecyclestage:enumeration(lifecycle) hs_lead_status:enumeration(leads) about_us:string
is_public:bool linkedin_company_page:string hs_additional_domains:enumeration
hs_country_code:string hs_state_code:string hs_parent_company_id:number!
hs_num_open_deals:number! num_associated_contacts:number! num_associated_deals:number!
createdate:datetime! hs_lastmodifieddate:datetime!"""

_DEALS = """dealname:string amount:number dealstage:enumeration(stages)
pipeline:enumeration(pipelines) closedate:datetime deal_currency_code:enumeration(currencies)
dealtype:enumeration(deal_types) description:string hs_next_step:string
hs_priority:enumeration(priorities) closed_lost_reason:string closed_won_reason:string
hs_is_closed:bool! hs_is_closed_won:bool! hs_deal_stage_probability:number!
amount_in_home_currency:number! hs_forecast_amount:number num_associated_contacts:number!
createdate:datetime! hs_lastmodifieddate:datetime!"""

_PRODUCTS = """name:string description:string price:number hs_sku:string
hs_cost_of_goods_sold:number hs_product_type:enumeration(product_types) hs_url:string
recurringbillingfrequency:enumeration(periods) hs_recurring_billing_period:string tax:number
hs_folder_id:number hs_images:string hs_status:enumeration(product_states) hs_price_eur:number
hs_price_usd:number hs_price_gbp:number createdate:datetime! hs_lastmodifieddate:datetime!"""

_LINE_ITEMS = """name:string description:string price:number quantity:number amount:number!
hs_product_id:number hs_sku:string hs_cost_of_goods_sold:number discount:number tax:number
hs_discount_percentage:number hs_tax_rate_group_id:number hs_position_on_quote:number
hs_line_item_currency_code:enumeration(currencies) recurringbillingfrequency:enumeration(periods)
hs_recurring_billing_period:string hs_url:string hs_margin:number!
createdate:datetime! hs_lastmodifieddate:datetime!"""

_STREETS = " ".join(
    f"hs_{side}_address_{part}:string"
    for side in ("shipping", "billing")
    for part in (
        *("name", "firstname", "lastname", "street", "city", "state", "postal_code"),
        *("country", "phone"),
    )
)

_ORDERS = f"""{_STREETS} hs_order_name:string hs_currency_code:enumeration(currencies)
hs_source_store:string hs_fulfillment_status:string hs_payment_status:string
hs_external_order_id:string hs_external_order_status:string hs_external_order_url:string
hs_external_created_date:datetime hs_total_price:number hs_subtotal_price:number hs_tax:number
hs_order_discount:number hs_shipping_cost:number hs_order_note:string hs_tracking_number:string
hs_pipeline:enumeration(pipelines) hs_pipeline_stage:enumeration(stages)
hs_shipping_tracking_number:string hs_createdate:datetime! hs_lastmodifieddate:datetime!"""

_INVOICES = """hs_currency:enumeration(currencies) hs_invoice_date:datetime hs_due_date:datetime
hs_invoice_status:enumeration(invoice_states) hs_number:string hs_title:string
hs_comments:string hs_external_invoice_id:string hs_purchase_order_number:string
hs_amount_billed:number! hs_amount_paid:number! hs_balance_due:number! hs_tax_id:string
hs_invoice_link:string! hs_createdate:datetime! hs_lastmodifieddate:datetime!"""

_TASKS = """hs_timestamp:datetime hs_task_subject:string hs_task_body:string
hs_task_status:enumeration(task_states) hs_task_priority:enumeration(task_priorities)
hs_task_type:enumeration(task_types) hs_task_reminders:string hs_task_is_completed:number!
hs_task_completion_date:datetime! hs_queue_membership_ids:enumeration hs_createdate:datetime!
hs_lastmodifieddate:datetime!"""

_NOTES = """hs_timestamp:datetime hs_note_body:string hs_attachment_ids:string
hs_createdate:datetime! hs_lastmodifieddate:datetime!"""

_TICKETS = """subject:string content:string hs_pipeline:enumeration(pipelines)
hs_pipeline_stage:enumeration(stages) hs_ticket_category:enumeration(ticket_categories)
hs_ticket_priority:enumeration(ticket_priorities) closed_date:datetime
createdate:datetime! hs_lastmodifieddate:datetime!"""

_ENGAGED = "hs_timestamp:datetime hs_createdate:datetime! hs_lastmodifieddate:datetime!"
_MEETINGS = f"{_ENGAGED} hs_meeting_title:string hs_meeting_body:string hs_meeting_location:string"
_CALLS = f"{_ENGAGED} hs_call_title:string hs_call_body:string hs_call_duration:number"
_EMAILS = f"{_ENGAGED} hs_email_subject:string hs_email_text:string hs_email_direction:string"
_QUOTES = """hs_title:string hs_expiration_date:date hs_status:string hs_currency:string
hs_quote_amount:number! hs_createdate:datetime! hs_lastmodifieddate:datetime!"""


@dataclass(frozen=True, slots=True)
class NativeKind:
    """An object type as every account has it."""

    singular: str
    type_id: str
    properties: str
    #: What a read returns when nothing is asked for, besides id and the two times.
    defaults: str
    created: str = "hs_createdate"
    modified: str = "hs_lastmodifieddate"
    #: A create must set all of these ...
    required: str = ""
    #: ... and at least one of these.
    one_of: str = ""
    #: What `query` looks through.
    searched: str = ""
    merges: bool = False
    #: An empty account's next record id.
    first_id: int = 0


NATIVE: dict[str, NativeKind] = {
    "contacts": NativeKind(
        "contact",
        "0-1",
        _CONTACTS,
        "email firstname lastname",
        created="createdate",
        modified="lastmodifieddate",
        one_of="email firstname lastname",
        searched="firstname lastname email phone company",
        merges=True,
        first_id=70_310_552_001,
    ),
    "companies": NativeKind(
        "company",
        "0-2",
        _COMPANIES,
        "name domain",
        created="createdate",
        one_of="name domain",
        searched="name domain website phone",
        merges=True,
        first_id=20_614_380_001,
    ),
    "deals": NativeKind(
        "deal",
        "0-3",
        _DEALS,
        "dealname amount closedate dealstage pipeline",
        created="createdate",
        searched="dealname description dealtype",
        merges=True,
        first_id=18_250_117_001,
    ),
    "tickets": NativeKind(
        "ticket",
        "0-5",
        _TICKETS,
        "subject content hs_pipeline hs_pipeline_stage hs_ticket_category hs_ticket_priority",
        created="createdate",
        searched="subject content",
        merges=True,
        first_id=2_950_440_001,
    ),
    "products": NativeKind(
        "product",
        "0-7",
        _PRODUCTS,
        "name description price",
        created="createdate",
        searched="name description price hs_sku",
        first_id=2_480_115_001,
    ),
    "line_items": NativeKind(
        "line_item",
        "0-8",
        _LINE_ITEMS,
        "amount hs_product_id quantity",
        created="createdate",
        searched="name description hs_sku",
        first_id=9_871_230_001,
    ),
    "orders": NativeKind(
        "order", "0-123", _ORDERS, "", searched="hs_order_name", first_id=394_860_001
    ),
    "invoices": NativeKind(
        "invoice", "0-53", _INVOICES, "", required="hs_currency", first_id=431_770_001
    ),
    "tasks": NativeKind(
        "task", "0-27", _TASKS, "", required="hs_timestamp", first_id=58_330_090_001
    ),
    "notes": NativeKind(
        "note", "0-46", _NOTES, "", required="hs_timestamp", first_id=58_340_090_001
    ),
    "meetings": NativeKind(
        "meeting", "0-47", _MEETINGS, "", required="hs_timestamp", first_id=58_350_090_001
    ),
    "calls": NativeKind(
        "call", "0-48", _CALLS, "", required="hs_timestamp", first_id=58_360_090_001
    ),
    "emails": NativeKind(
        "email", "0-49", _EMAILS, "", required="hs_timestamp", first_id=58_370_090_001
    ),
    "quotes": NativeKind("quote", "0-14", _QUOTES, "", first_id=610_220_001),
}

SHARED = _SHARED

OPTIONS: dict[str, str] = {
    "lifecycle": "subscriber lead marketingqualifiedlead salesqualifiedlead opportunity customer"
    " evangelist other",
    "leads": "NEW OPEN IN_PROGRESS OPEN_DEAL UNQUALIFIED ATTEMPTED_TO_CONTACT CONNECTED BAD_TIMING",
    "industries": "ACCOUNTING APPAREL_FASHION AUTOMOTIVE AVIATION_AEROSPACE BANKING BIOTECHNOLOGY"
    " BUILDING_MATERIALS BUSINESS_SUPPLIES_AND_EQUIPMENT CHEMICALS CIVIL_ENGINEERING"
    " COMPUTER_HARDWARE COMPUTER_SOFTWARE CONSTRUCTION CONSUMER_ELECTRONICS CONSUMER_GOODS"
    " ELECTRICAL_ELECTRONIC_MANUFACTURING FARMING FOOD_BEVERAGES FOOD_PRODUCTION FURNITURE"
    " GLASS_CERAMICS_CONCRETE HOSPITAL_HEALTH_CARE INDUSTRIAL_AUTOMATION"
    " INFORMATION_TECHNOLOGY_AND_SERVICES LOGISTICS_AND_SUPPLY_CHAIN MACHINERY"
    " MECHANICAL_OR_INDUSTRIAL_ENGINEERING MEDICAL_DEVICES MINING_METALS OIL_ENERGY"
    " PACKAGING_AND_CONTAINERS PAPER_FOREST_PRODUCTS PHARMACEUTICALS PLASTICS PRINTING"
    " RENEWABLES_ENVIRONMENT RETAIL TEXTILES TRANSPORTATION_TRUCKING_RAILROAD UTILITIES"
    " WHOLESALE WINE_AND_SPIRITS",
    "company_types": "PROSPECT PARTNER RESELLER VENDOR OTHER",
    "deal_types": "newbusiness existingbusiness",
    "priorities": "low medium high",
    "product_types": "inventory non_inventory service",
    "product_states": "active inactive",
    "periods": "weekly biweekly monthly quarterly per_six_months annually per_two_years"
    " per_three_years",
    "currencies": "EUR USD GBP CHF PLN CZK SEK DKK NOK HUF",
    "invoice_states": "draft open paid voided",
    "task_states": "NOT_STARTED IN_PROGRESS WAITING COMPLETED DEFERRED",
    "task_priorities": "NONE LOW MEDIUM HIGH",
    "task_types": "EMAIL CALL TODO",
    "ticket_categories": "PRODUCT_ISSUE BILLING_ISSUE FEATURE_REQUEST GENERAL_INQUIRY",
    "ticket_priorities": "LOW MEDIUM HIGH URGENT",
}
