"""Fills an account with believable companies, contacts, products and deals; the same for a seed."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import phonenumbers

from connectors.hubspot.twin.account import Account, Owner
from connectors.hubspot.twin.geography import COUNTRIES, PRODUCTS, TITLES, City, Country
from connectors.hubspot.twin.property_values import stored_moment
from connectors.hubspot.twin.stored_record import Label, Record

_OWNERS = (
    (501_100_001, "anna.berg@twin.example", "Anna", "Berg"),
    (501_100_002, "luis.moreno@twin.example", "Luis", "Moreno"),
    (501_100_003, "claire.dubois@twin.example", "Claire", "Dubois"),
    (501_100_004, "tom.walker@twin.example", "Tom", "Walker"),
)
_INDUSTRIES = ("MACHINERY", "FOOD_PRODUCTION", "TEXTILES", "CONSTRUCTION", "FURNITURE", "WHOLESALE")
_STAGES = (
    "appointmentscheduled",
    "qualifiedtobuy",
    "presentationscheduled",
    "decisionmakerboughtin",
    "contractsent",
    "closedlost",
)
_LIVES = ("lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer")
_FIRST = int(datetime(2024, 1, 8, 7, tzinfo=UTC).timestamp() * 1000)
_LAST = int(datetime(2026, 6, 26, 16, tzinfo=UTC).timestamp() * 1000)
_DAY = 86_400_000
_LETTERS = "ABDEFGHJLNPRTWXZ"
_PRIMARY_CONTACT: tuple[Label, ...] = (("HUBSPOT_DEFINED", 1), ("HUBSPOT_DEFINED", 279))
_PRIMARY_DEAL: tuple[Label, ...] = (("HUBSPOT_DEFINED", 5), ("HUBSPOT_DEFINED", 341))


def seed_account(account: Account, *, seed: int, companies: int, won: int) -> None:
    """Adds four owners and, with `companies` > 0, that many companies and all that goes with them.

    About 1.3 contacts a company, 15 products, a deal for every third company; `won` of the deals
    are closed won, the others open or lost.
    """
    account.owners.update((row[0], Owner(*row)) for row in _OWNERS)
    if companies:
        _Seeder(account, random.Random(seed)).sow(companies, won)  # noqa: S311 - not a secret


class _Seeder:
    """Makes records without going through the checks; the tables are known to pass them."""

    def __init__(self, account: Account, dice: random.Random) -> None:
        self.account = account
        self.dice = dice
        self._taken: set[str] = set()
        self._weights = [country.weight for country in COUNTRIES]

    def sow(self, companies: int, won: int) -> None:
        deals = max(companies // 3, won)
        products = [self._product(row, _FIRST + i * 60_000) for i, row in enumerate(PRODUCTS)]
        grown: list[tuple[Record, Record]] = []
        for index, at in enumerate(_times(companies)):
            company, country, domain = self._company(at)
            count = 1 if self.dice.random() < 0.7 else 2
            people = [self._contact(company, country, domain) for _ in range(count)]
            if len(grown) < deals and (index % 3 == 0 or deals > companies // 3):
                grown.append((company, people[0]))
        for number, (at, (company, person)) in enumerate(zip(_times(deals), grown, strict=False)):
            stage = "closedwon" if number < won else self.dice.choice(_STAGES)
            self._deal(max(at, company.created + _DAY), (company, person), (stage, products))

    def _plant(self, name: str, at: int, values: dict[str, str]) -> Record:
        return self.account.plant(self.account.catalogue.kinds[name], values, at=at)

    def _product(self, row: tuple[str, str, str, str, str], at: int) -> Record:
        sku, name, price, cost, text = row
        values = {"hs_sku": sku, "name": name, "price": price, "description": text}
        return self._plant("products", at, {**values, "hs_cost_of_goods_sold": cost})

    def _company(self, at: int) -> tuple[Record, Country, str]:
        dice = self.dice
        country = dice.choices(COUNTRIES, self._weights)[0]
        city = dice.choice(country.cities)
        stem = self._stem(country)
        domain = self._domain(stem, city)
        values = {
            "name": f"{stem} {dice.choice(country.forms)}",
            "domain": domain,
            "website": f"https://www.{domain}",
            "phone": self._phone(city.phone, country, national=0.12),
            "address": dice.choice(country.streets).replace("%", str(dice.randint(1, 180))),
            "city": city.name,
            "zip": self._fill(city.zip),
            "country": country.code if dice.random() < 0.1 else country.name,
            "industry": dice.choice(_INDUSTRIES),
            "numberofemployees": str(dice.choice((4, 9, 15, 28, 60, 120, 340, 900))),
            "lifecyclestage": dice.choice(_LIVES),
            "hubspot_owner_id": str(dice.choice(_OWNERS)[0]),
        }
        if city.state:
            values["state"] = city.state
        return self._plant("companies", at, values), country, domain

    def _stem(self, country: Country) -> str:
        dice = self.dice
        last, trade = dice.choice(country.last), dice.choice(country.trades)
        return dice.choice(
            (f"{last} {trade}", f"{last} & {dice.choice(country.last)} {trade}", f"{trade} {last}")
        )

    def _domain(self, stem: str, city: City) -> str:
        for name in (stem, f"{stem} {city.name}"):
            if (domain := f"{_slug(name)}.example") not in self._taken:
                break
        number = 2
        while domain in self._taken:
            domain, number = f"{_slug(stem)}-{number}.example", number + 1
        self._taken.add(domain)
        return domain

    def _contact(self, company: Record, country: Country, domain: str) -> Record:
        dice = self.dice
        first, last = dice.choice(country.first), dice.choice(country.last)
        local = f"{_slug(first)}.{_slug(last)}"
        email, number = f"{local}@{domain}", 2
        while email in self._taken:
            email, number = f"{local}{number}@{domain}", number + 1
        self._taken.add(email)
        values = {
            "email": email,
            "firstname": first,
            "lastname": last,
            "company": company.values["name"],
            "jobtitle": dice.choice(TITLES),
            "lifecyclestage": company.values["lifecyclestage"],
            "hubspot_owner_id": company.values["hubspot_owner_id"],
        }
        if dice.random() < 0.5:
            values["phone"] = company.values["phone"]
        if dice.random() < 0.6:
            values["mobilephone"] = self._phone(country.mobile, country, national=0.05)
        contact = self._plant("contacts", company.created + 60_000, values)
        self.account.links.plant(contact, company, _PRIMARY_CONTACT)
        return contact

    def _deal(
        self, at: int, buyers: tuple[Record, Record], plan: tuple[str, list[Record]]
    ) -> Record:
        (company, person), (stage, products) = buyers, plan
        chosen = self.dice.sample(products, self.dice.randint(1, 3))
        lines = [self._line(at + 1000 * i, product) for i, product in enumerate(chosen)]
        amount = sum((Decimal(line.value("amount") or "0") for line in lines), Decimal())
        values = {
            "dealname": f"{company.values['name']} - {chosen[0].values['name']}",
            "amount": f"{amount.normalize():f}",
            "pipeline": "default",
            "dealstage": stage,
            "closedate": stored_moment(at + self.dice.randint(14, 120) * _DAY),
            "deal_currency_code": self.account.settings.currency,
            "hubspot_owner_id": company.values["hubspot_owner_id"],
            "dealtype": self.dice.choice(("newbusiness", "existingbusiness")),
        }
        deal = self._plant("deals", at, values)
        links = self.account.links
        links.plant(deal, company, _PRIMARY_DEAL)
        links.plant(deal, person, (("HUBSPOT_DEFINED", 3),))
        for line in lines:
            links.plant(deal, line, (("HUBSPOT_DEFINED", 19),))
        return deal

    def _line(self, at: int, product: Record) -> Record:
        copied = ("name", "description", "price", "hs_sku")
        values = {name: product.values[name] for name in copied}
        values["hs_product_id"] = str(product.id)
        values["quantity"] = str(self.dice.choice((1, 1, 2, 3, 5, 10, 25)))
        return self._plant("line_items", at, values)

    def _phone(self, pattern: str, country: Country, *, national: float) -> str:
        number = self._fill(pattern)
        if self.dice.random() >= national:
            return number
        parsed = phonenumbers.parse(number, country.code)
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)

    def _fill(self, pattern: str) -> str:
        number = self.dice.getrandbits(60)
        filled: list[str] = []
        for mark in pattern:
            if mark == "#":
                number, digit = divmod(number, 10)
                mark = str(digit)
            elif mark == "N":
                number, digit = divmod(number, 8)
                mark = str(digit + 2)
            elif mark == "A" and filled:
                number, digit = divmod(number, len(_LETTERS))
                mark = _LETTERS[digit]
            filled.append(mark)
        return "".join(filled)


def _times(count: int) -> Iterator[int]:
    """Yields evenly spread times, so that ids and creation dates run alike."""
    step = (_LAST - _FIRST) // max(1, count)
    return (_FIRST + index * step for index in range(count))


_SPECIAL = str.maketrans({"ß": "ss", "ł": "l", "Ł": "l", "ø": "o", "Ø": "o", "'": None})


def _slug(text: str) -> str:
    """Returns text as it stands in a domain.

    >>> _slug("Weiß & Böhm Möbel")
    'weiss-bohm-mobel'
    """
    plain = unicodedata.normalize("NFKD", text.translate(_SPECIAL))
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in plain if c.isascii())
    return "-".join(words.lower().split())
