"""Who the ERP knows already: some of the CRM's customers, written as bookkeepers write, and others.

Pure: chooses and writes, enters nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import phonenumbers
from stdnum.iso7064 import mod_11_10

from connectors.tryton.office_day import Customer
from mappings.kit.regional import country as country_code

Row = Mapping[str, Any]

#: Tryton takes national numbers only of parties whose country it knows.
_ABROAD = phonenumbers.PhoneNumberFormat.INTERNATIONAL

#: How legal forms are written in the books.
_FORMS = {" Ltd": " LIMITED", " GmbH": " G.M.B.H.", " B.V.": " BV", " S.r.l.": " SRL"}

#: Customers that only the ERP has.
OWN = (
    Customer("Brauerei Sternhagel", "Malzgasse 4", "96049", "Bamberg", "DE", "0951 2086411"),
    Customer("Kofler Holzbau", "Sägeweg 11", "6020", "Innsbruck", "AT", "0512 584477"),
    Customer("Atelier Fontaine", "8 rue du Port", "44000", "Nantes", "FR", "02 40 35 71 20"),
    Customer("Officina Bertoldi", "Via Mazzini 22", "37121", "Verona", "IT", "045 803 2217"),
    Customer("Jansen Scheepswerf", "Havenkade 3", "9934 AA", "Delfzijl", "NL", "0596 613 040"),
    Customer("Talleres Iriarte", "Calle Arenal 9", "48005", "Bilbao", "ES", "944 15 27 33"),
    Customer("Harlow & Pike", "14 Mill Lane", "LS1 4DY", "Leeds", "GB", "0113 245 7788"),
    Customer("Piekarnia Zawadzka", "ul. Długa 17", "31-147", "Kraków", "PL", "12 422 61 05"),
    Customer("Nygård Snickeri", "Hamngatan 6", "903 27", "Umeå", "SE", "090 12 54 80"),
    Customer("Uhren Zbinden", "Marktgasse 31", "3011", "Bern", "CH", "031 311 42 60"),
)


@dataclass(frozen=True, slots=True)
class Known:
    """A customer that both sides have, each in its own words."""

    #: Key in the CRM.
    key: str
    #: What tells that they are one: VAT number, web domain, e-mail, name and postal code.
    by: str
    erp: Customer
    #: What the CRM's people have filled in as well.
    crm: Mapping[str, str]


def own(companies: Iterable[Row]) -> Iterator[Customer]:
    """Yields the ERP's own customers, each with an e-mail address and a contact."""
    taken = {one["properties"].get("domain") for one in companies}
    for one in OWN:
        domain = f"{_ascii(one.name).lower().replace(' & ', '-').replace(' ', '-')}.example"
        if domain not in taken:
            yield Customer(
                one.name,
                one.street,
                one.postal_code,
                one.city,
                one.country,
                one.phone,
                f"office@{domain}",
            )


def known(companies: Sequence[Row], people: Mapping[str, Row], count: int) -> list[Known]:
    """Returns `count` of the CRM's customers as the ERP has them; `people` by company."""
    german = [row for row in companies if _country(row) == "DE"]
    by_vat = german[: count // 4]
    others = [row for row in companies if row not in by_vat][: count - len(by_vat)]
    ways = (_by_domain, _by_email, _by_name)
    found = [_by_vat(row, number) for number, row in enumerate(by_vat)]
    found += [
        ways[number % len(ways)](row, people.get(row["id"])) for number, row in enumerate(others)
    ]
    return found


def _by_vat(row: Row, number: int) -> Known:
    digits = f"{81_100_000 + 7_919 * number:08d}"
    vat = f"DE{digits}{mod_11_10.calc_check_digit(digits)}"
    erp = Customer(_upper(row), phone=_phone(row, _ABROAD), vat=vat)
    return Known(row["id"], "VAT number", erp, {"tulay_tax_id": vat})


def _by_domain(row: Row, person: Row | None) -> Known:
    erp = Customer(
        _upper(row).rsplit(" ", 1)[0],
        **_address(row),
        website=f"http://www.{row['properties']['domain']}/",
        people=_people(person),
    )
    return Known(row["id"], "web domain", erp, {})


def _by_email(row: Row, _person: Row | None) -> Known:
    email = f"info@{row['properties']['domain']}"
    name = _ascii(row["properties"]["name"])
    erp = Customer(name, phone=_phone(row, _ABROAD), email=email.upper())
    return Known(row["id"], "e-mail", erp, {"tulay_email": email})


def _by_name(row: Row, person: Row | None) -> Known:
    phone = _phone(row, phonenumbers.PhoneNumberFormat.NATIONAL)
    erp = Customer(_upper(row), **_address(row), phone=phone, people=_people(person))
    return Known(row["id"], "name + postal code", erp, {})


def _upper(row: Row) -> str:
    name = str(row["properties"]["name"])
    for form, written in _FORMS.items():
        if name.endswith(form):
            name = name.removesuffix(form) + written
    return name.upper()


def _ascii(text: str) -> str:
    """Returns text as an old terminal has it.

    >>> _ascii("Müller & Söhne")
    'Muller & Sohne'
    """
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("ł", "l"))
    return "".join(c for c in plain if not unicodedata.combining(c))


def _country(row: Row) -> str:
    return country_code(row["properties"].get("country")) or ""


def _address(row: Row) -> dict[str, str]:
    values = row["properties"]
    if not values.get("address"):
        return {}
    return {
        "street": values["address"].upper(),
        "postal_code": values["zip"],
        "city": values["city"].upper(),
        "country": _country(row),
    }


def _phone(row: Row, way: int) -> str:
    """Returns a telephone number as people write it, blank when the ERP would refuse it."""
    number = phonenumbers.parse(row["properties"]["phone"], _country(row) or None)
    valid = phonenumbers.is_valid_number(number)
    return phonenumbers.format_number(number, way) if valid else ""


def _people(person: Row | None) -> tuple[tuple[str, str], ...]:
    if person is None:
        return ()
    values = person["properties"]
    return ((f"{values['firstname']} {values['lastname']}", str(values["email"]).upper()),)
