"""Plays the demo from the first start to the last stop, and says what can be tried afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from datetime import UTC, datetime

from hub.demo.narration import Narration, Screen
from hub.demo.setting import Stage
from hub.demo.story import Cast, Story
from hub.demo.systems import World, check_installed, is_built, opened
from hub.sync.progress import Progress

#: Won during the demo.
_DEALS = 8


def play(
    screen: Screen,
    drawn: Callable[[], AbstractContextManager[Progress]],
    *,
    customers: int,
    keep: bool,
) -> bool:
    """Plays everything; returns whether both sides ended the same. Removes all it has made.

    Raises: SettingsError, ConnectorError.
    """
    check_installed()
    began, day = time.monotonic(), datetime.now(UTC).date()
    narration = Narration(screen, drawn)
    narration.say("Tulay's demo: a HubSpot twin, a real Tryton, and the hub between them.")
    if not is_built():
        narration.say("Building Tryton's database; this takes a minute or two, only once ...")
    cast = Cast(known=min(40, customers // 4), deals=_DEALS)
    with opened(customers=customers, drawn=drawn) as world:
        figures = Story(Stage(world, narration, day), cast).tell()
        figures.seconds = round(time.monotonic() - began, 1)
        document = asdict(figures)
        if keep:
            document["kept"] = places(world)
        screen.document(document)
        narration.say("")
        narration.say(f"Done in {figures.seconds:.0f} seconds.")
        if keep:
            _show(world, narration)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
    return figures.well


def places(world: World) -> dict[str, str]:
    """Returns addresses and logins of what is left running; there is nothing to protect."""
    return {
        "config": str(world.config),
        "hubspot_url": world.crm.url,
        "hubspot_token": world.crm.token,
        "tryton_url": world.erp.url,
        "tryton_database": world.erp.database,
        "tryton_login": world.erp.login,
        "tryton_password": world.erp.password,
    }


def _show(world: World, narration: Narration) -> None:
    found = places(world)
    narration.step("Everything is left running; look around, Ctrl-C ends and removes it")
    narration.show(
        ["", "where", "login"],
        [
            ("HubSpot twin", found["hubspot_url"], f"token {found['hubspot_token']}"),
            (
                "Tryton",
                f"{found['tryton_url']} (database {found['tryton_database']})",
                f"{found['tryton_login']} / {found['tryton_password']}",
            ),
        ],
    )
    narration.say("Try in another terminal:")
    for words in ("status", "links list company", "conflicts list --all", "sync --once"):
        narration.screen.raw(f"  tulay --config {world.config} {words}")
