"""A local emulator that answers like HubSpot's CRM API, in memory, on loopback.

Dated paths (2026-09) and the older v3 and v4 ones answer alike. It serves on loopback only.
"""

from __future__ import annotations

from collections.abc import Callable

from connectors.hubspot.twin.account import Settings
from connectors.hubspot.twin.control import TOKEN, Twin, build
from connectors.kit.faults import Chances
from connectors.kit.twin import Clock

__all__ = ["Settings", "Twin", "serve", "start"]


def start(
    *,
    port: int = 0,
    seed: int = 0,
    records: int = 0,
    token: str = TOKEN,
    won: int = 0,
    settings: Settings | None = None,
    faults: str | Chances = "none",
    clock: Clock | None = None,
) -> Twin:
    """Starts a twin in a background thread, with `records` seeded companies and their belongings.

    `won` of the deals are closed won; `faults` as `Twin.inject_faults` takes. The same seed and
    numbers give the same data, and the same calls the same misfortunes. Raises: FaultError.
    """
    twin = build(
        seed=seed,
        records=records,
        token=token,
        won=won,
        settings=settings,
        faults=faults,
        clock=clock,
    )
    return twin.open(port)


def serve(
    *,
    port: int = 8090,
    seed: int = 0,
    records: int = 0,
    token: str = TOKEN,
    won: int = 0,
    settings: Settings | None = None,
    ready: Callable[[Twin], None] | None = None,
) -> None:
    """Serves a twin in the foreground until interrupted; `ready` is called with it first."""
    twin = build(seed=seed, records=records, token=token, won=won, settings=settings)
    twin.run(port, ready=ready)
