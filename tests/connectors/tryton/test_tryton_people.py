"""People and regions in a real Tryton: phones of contacts, moves between parties, subdivisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.kit.contract import Delete, Merge, Record, Update
from connectors.kit.errors import RecordStaleError
from connectors.tryton.client import TrytonClient
from connectors.tryton.connector import TrytonConnector
from connectors.tryton.office import Office

CONTACT = "party.contact_mechanism"
PHONE = {"type": "phone", "value": "+49 30 1234567"}
MOBILE = {"type": "mobile", "value": "+49 1512 3456789"}


def ann(party: str, **more: Any) -> dict[str, Any]:
    return {"value": "ann@acme.example", "name": "Ann Lee", "party": {"id": party}, **more}


def phones(record: Record) -> dict[str, str]:
    return {phone["type"]: phone["value"] for phone in record.payload["phones"]}


def test_a_contact_has_the_phones_of_its_name(users: Any, office: Office) -> None:
    party = users.party()
    contact = users.create(CONTACT, ann(party.key))
    other = users.create(CONTACT, ann(party.key, value="bob@acme.example", name="Bob"))
    for name in ("ann  lee", "", "Bob"):
        office.create(CONTACT, {**PHONE, "name": name, "party": int(party.key)})
    (phone,) = users.read(CONTACT, contact.key).payload["phones"]
    assert phone["value"] == PHONE["value"]
    assert len(users.read(CONTACT, other.key).payload["phones"]) == 1


def test_phones_follow_their_contact(users: Any) -> None:
    """Phones are created, changed and removed with their contact."""
    party = users.party()
    contact = users.create(CONTACT, ann(party.key, phones=[PHONE, MOBILE]), "ann-1")
    assert phones(contact) == {"phone": "+49 30 1234567", "mobile": "+49 1512 3456789"}
    named = users.read("party.party", party.key).payload["contact_mechanisms"]
    assert [each["name"] for each in named if each["type"] != "email"] == ["Ann Lee"] * 2
    first, second = contact.payload["phones"]
    change = [{"id": first["id"], "value": "+49 30 7654321"}, {"id": second["id"], "remove": True}]
    changed = users.update(contact, CONTACT, value="lee@acme.example", phones=change)
    assert phones(changed) == {"phone": "+49 30 7654321"}
    assert changed.payload["value"] == "lee@acme.example"
    again = users.update(changed, CONTACT, phones=[MOBILE])
    assert phones(again) == {"phone": "+49 30 7654321", "mobile": MOBILE["value"]}


def test_a_renamed_contact_keeps_its_phones(users: Any, office: Office) -> None:
    party = users.party()
    contact = users.create(CONTACT, ann(party.key, phones=[PHONE]))
    renamed = users.update(contact, CONTACT, name="Ann Miller")
    assert phones(renamed) == phones(contact)
    office.change(CONTACT, contact.key, {"name": "Ann Ng"})  # only the address, by hand
    assert phones(users.read(CONTACT, contact.key)) == phones(contact)


def test_namesakes_have_separate_phones(users: Any) -> None:
    party = users.party()
    one = users.create(CONTACT, ann(party.key, phones=[PHONE]))
    two = users.create(CONTACT, ann(party.key, value="ann.lee@acme.example", phones=[MOBILE]))
    assert phones(users.read(CONTACT, one.key)) == {"phone": PHONE["value"]}
    assert phones(two) == {"mobile": MOBILE["value"]}


def test_a_contact_typed_by_a_user_gets_phones(users: Any, office: Office) -> None:
    party = users.party()
    values = {"type": "email", "value": "ann@acme.example", "name": "Ann", "party": int(party.key)}
    first = users.read(CONTACT, office.create(CONTACT, values))
    second = users.read(CONTACT, office.create(CONTACT, {**values, "value": "a@acme.example"}))
    assert phones(users.update(second, CONTACT, phones=[PHONE])) == {"phone": PHONE["value"]}
    assert phones(users.read(CONTACT, first.key)) == {}


def test_a_changed_phone_is_a_changed_contact(
    users: Any, office: Office, mark: Callable[[str], Callable[[], dict[str, Record]]]
) -> None:
    party = users.party()
    contact = users.create(CONTACT, ann(party.key, phones=[PHONE]))
    since = mark(CONTACT)
    (phone,) = contact.payload["phones"]
    office.change(CONTACT, phone["id"], {"value": "+49 30 7654321"})
    assert phones(since()[contact.key]) == {"phone": "+49 30 7654321"}
    with pytest.raises(RecordStaleError):
        users.update(contact, CONTACT, name="Someone")


@pytest.mark.parametrize("odd", ["ask Ann", "+49 30 1", "n/a", "12345"])
def test_a_phone_tryton_refuses_is_left_out(users: Any, odd: str) -> None:
    none = {"type": "phone", "value": odd}
    party = users.party(contact_mechanisms=[none, MOBILE])
    (mobile,) = party.payload["contact_mechanisms"]
    contact = users.create(CONTACT, ann(party.key, phones=[none, MOBILE]))
    assert phones(contact) == {"mobile": MOBILE["value"]}
    (phone,) = contact.payload["phones"]
    patch = [{"id": phone["id"], "value": odd}]
    assert phones(users.update(contact, CONTACT, name="Ann Ng", phones=patch)) == {}
    party = users.read("party.party", party.key)
    patch = [{"id": mobile["id"], "value": odd}]
    changed = users.update(party, "party.party", name="Odd Ltd", contact_mechanisms=patch)
    assert changed.payload["name"] == "Odd Ltd"
    assert [each["type"] for each in changed.payload["contact_mechanisms"]] == ["email"]


def test_a_national_number_follows_the_country(users: Any) -> None:
    """A national number is read by the rules of the party's country."""
    national = {"type": "phone", "value": "030 1234567 ext. 5"}
    party = users.party(contact_mechanisms=[national])
    (phone,) = party.payload["contact_mechanisms"]
    assert phone["value"] == "+49 30 1234567 ext. 5"
    contact = users.create(CONTACT, ann(party.key, phones=[national]))
    assert phones(contact) == {"phone": "+49 30 1234567 ext. 5"}


def test_a_contact_moves_to_another_party(connector: TrytonConnector, users: Any) -> None:
    here, there = users.party("Here"), users.party("There")
    contact = users.create(CONTACT, ann(here.key, phones=[PHONE]), "mover-1")
    patch = {"party": {"id": there.key}, "value": "ann@there.example", "phones": [MOBILE]}
    (outcome,) = connector.write(CONTACT, [Update(contact.key, patch, contact.version)])
    assert outcome.error is None
    page = connector.fetch(CONTACT, [contact.key])
    (moved,) = page.records
    assert page.merges == [Merge(contact.key, moved.key)]
    assert moved.payload["party"] == {"id": there.key}
    assert moved.payload["value"] == "ann@there.example"
    assert phones(moved) == {"phone": PHONE["value"], "mobile": MOBILE["value"]}
    assert connector.find(CONTACT, ["mover-1"])["mover-1"].key == moved.key
    left = users.read("party.party", here.key).payload["contact_mechanisms"]
    assert [each["name"] for each in left] == [None]
    back = {"party": {"id": here.key}}
    (outcome,) = connector.write(CONTACT, [Update(moved.key, back, moved.version)])
    assert outcome.error is None
    page = connector.fetch(CONTACT, [contact.key])
    assert page.records[0].payload["party"] == {"id": here.key}
    assert phones(page.records[0]) == phones(moved)


def test_a_contact_leaves_with_its_phones(connector: TrytonConnector, users: Any) -> None:
    party = users.party()
    contact = users.create(CONTACT, ann(party.key, phones=[PHONE]))
    users.write(CONTACT, Delete(contact.key, contact.version))
    left = users.read("party.party", party.key).payload["contact_mechanisms"]
    assert [each["type"] for each in left] == ["email"]
    assert connector.fetch(CONTACT, [contact.key]).gone == [contact.key]


@pytest.mark.parametrize("region", ["BY", "DE-BY", "bayern"])
def test_a_region_is_found_by_name_or_code(users: Any, region: str) -> None:
    party = users.party()
    (address,) = party.payload["addresses"]
    patch = [{"id": address["id"], "subdivision": {"name": region}}]
    (changed,) = users.update(party, "party.party", addresses=patch).payload["addresses"]
    assert changed["subdivision"]["code"] == "DE-BY"


def test_a_region_is_read_within_its_country(users: Any) -> None:
    address = {"city": "Los Angeles", "country": {"code": "US"}, "subdivision": {"name": "CA"}}
    party = users.party(addresses=[address])
    (first,) = party.payload["addresses"]
    assert first["subdivision"]["name"] == "California"
    patch = [{"id": first["id"], "country": {"code": "CA"}, "subdivision": {"name": "Ontario"}}]
    party = users.update(party, "party.party", addresses=patch)
    (second,) = party.payload["addresses"]
    assert second["subdivision"]["code"] == "CA-ON"
    patch = [{"id": first["id"], "country": {"code": "DE"}}]
    (third,) = users.update(party, "party.party", addresses=patch).payload["addresses"]
    assert third["subdivision"] is None


def test_an_unknown_region_is_left_out(users: Any) -> None:
    address = {"city": "Paris", "country": {"code": "FR"}, "subdivision": {"name": "Narnia"}}
    party = users.party(addresses=[address, {"city": "Nowhere", "subdivision": {"name": "CA"}}])
    assert [each["subdivision"] for each in party.payload["addresses"]] == [None, None]


def test_regions_that_are_loaded_later_are_found(
    users: Any, office: Office, client: TrytonClient
) -> None:
    party = users.party(
        addresses=[{"city": "Wien", "country": {"code": "AT"}, "subdivision": {"name": "Wien"}}]
    )
    (address,) = party.payload["addresses"]
    assert address["subdivision"] is None
    (country,) = client.search("country.country", [["code", "=", "AT"]])
    # in the server's language, not in ours: the code identifies it
    vienna = {"name": "Vienna", "code": "AT-9", "type": "state", "country": country}
    office.create("country.subdivision", vienna)
    patch = [{"id": address["id"], "subdivision": {"name": "Wien"}}]
    (changed,) = users.update(party, "party.party", addresses=patch).payload["addresses"]
    assert changed["subdivision"]["code"] == "AT-9"
