"""`tulay twin SYSTEM`: a local emulator of a system, to try things out without an account."""

from __future__ import annotations

import importlib
import inspect
import threading
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from connectors.kit.faults import FaultError, parse
from connectors.kit.registry import Found, RegistryError, adopt, catalogue
from hub.cli.renamed import hint
from hub.cli.session import Session, command, session
from hub.cli.termination import end_quietly, on_sigterm
from hub.errors import SettingsError, UnknownError
from hub.settings import connector_folders
from mappings.kit.files import nearest

#: What one may need to speak to an emulator, as its attributes. The HubSpot twin signs its webhooks
#: with its client secret: the `webhook_secret` of the connection.
_ACCESS = ("token", "client_secret", "developer_key", "database", "login", "password")


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def twin(
        ctx: typer.Context,
        system: Annotated[str, typer.Argument(help="Such as hubspot.")],
        port: Annotated[int, typer.Option("--port", min=0, help="0: any free one.")] = 0,
        seed: Annotated[int, typer.Option("--seed", help="Other figure, other data.")] = 0,
        records: Annotated[int, typer.Option("--records", min=0, help="Companies in it.")] = 0,
        faults: Annotated[
            str, typer.Option("--faults", help="Faults, by the seed: all, lost,lag:1 ...")
        ] = "none",
        old_faults: Annotated[str | None, typer.Option("--vices", hidden=True)] = None,
    ) -> None:
        """Run a local emulator of a system until Ctrl-C."""
        if old_faults is not None:
            hint("--vices", "--faults")
            faults = old_faults
        options: dict[str, int | str] = {"port": port, "seed": seed, "records": records}
        # Ended politely, a twin that is a process of its own ends too.
        with on_sigterm(end_quietly):
            _run(session(ctx), system, {**options, "faults": faults})


def _run(current: Session, system: str, options: Mapping[str, int | str]) -> None:
    """Runs a twin until it is interrupted."""
    running = _start(_found(current, system), options)
    try:
        screen = current.screen
        # Throw-away credentials of an emulator on loopback: not secrets.
        access = {name: value for name in _ACCESS if (value := getattr(running, name, None))}
        screen.document({"system": system, "url": running.url, **access})
        screen.say(f"{system} answers at {running.url}")
        for name, value in access.items():
            screen.say(f"its {name} is {value}")
        screen.note("stop it with Ctrl-C")
        threading.Event().wait()
    finally:
        running.stop()


def _found(session: Session, system: str) -> Found:
    found = catalogue(connector_folders(session.config)).found
    if system not in found:
        raise UnknownError(f"there is no connector {system!r}{nearest(system, found)}")
    with_twin = [name for name, one in found.items() if one.manifest.twin]
    if found[system].manifest.twin is None:
        raise UnknownError(f"{system} has no twin; there are: {', '.join(with_twin) or 'none'}")
    return found[system]


def _start(one: Found, options: Mapping[str, int | str]) -> Any:
    """Starts a twin with those of the options that it takes. Raises: SettingsError."""
    module, _, name = str(one.manifest.twin).partition(":")
    try:
        if one.plain:
            adopt(one.folder)
        start = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, RegistryError) as error:
        raise SettingsError(f"{one.folder}: the twin cannot be loaded: {error}") from error
    taken = inspect.signature(start).parameters
    try:
        if "faults" not in taken and parse(str(options["faults"])):
            raise SettingsError(
                f"the emulator of {one.manifest.system} has no faults; leave out --faults"
            )
        return start(**{key: value for key, value in options.items() if key in taken})
    except FaultError as error:
        raise SettingsError(f"--faults: {error}") from error
