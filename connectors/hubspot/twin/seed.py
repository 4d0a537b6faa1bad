"""Seeded data."""

from __future__ import annotations

from connectors.hubspot.twin.account import Account, Owner

OWNERS = [
    Owner(501_100_001, "anna.berg@twin.example", "Anna", "Berg"),
    Owner(501_100_002, "luis.moreno@twin.example", "Luis", "Moreno"),
    Owner(501_100_003, "claire.dubois@twin.example", "Claire", "Dubois"),
    Owner(501_100_004, "tom.walker@twin.example", "Tom", "Walker"),
]


def seed_account(account: Account, *, seed: int, companies: int, won: int) -> None:
    """Fills an account."""
    account.owners = {owner.id: owner for owner in OWNERS}
