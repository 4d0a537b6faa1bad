"""The two systems of the demo and the hub between them, started together and stopped together.

Everything is on loopback and in one temporary folder; nothing outside of it is read or written, but
for the cached database that every Tryton starts from.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import yaml

from connectors.hubspot import twin as hubspot
from connectors.hubspot.twin import Twin
from connectors.kit.errors import UnavailableError
from connectors.tryton import sandbox
from connectors.tryton.office_day import OfficeDay
from connectors.tryton.sandbox import Sandbox
from connectors.tryton.seed import Seed
from hub.errors import SettingsError
from hub.settings import load_settings
from hub.sync.context import Hub
from hub.sync.progress import Progress
from hub.sync.push.custom_fields import needs
from hub.wiring import open_hub

#: How old the overdue invoice is; its year must have been opened in the books.
LONG_AGO = timedelta(days=45)
_FIRST_SEED = 7


@dataclass(frozen=True)
class World:
    """Everything that runs during the demo."""

    folder: Path
    crm: Twin
    erp: Sandbox
    office: OfficeDay
    hub: Hub

    @property
    def config(self) -> Path:
        """The demo's tulay.yaml."""
        return self.folder / "tulay.yaml"


def check_installed() -> None:
    """Makes sure that Tryton can be started. Raises: SettingsError."""
    try:
        importlib.metadata.version("trytond")
        importlib.metadata.version("trytond_sale_supply_production")
    except importlib.metadata.PackageNotFoundError as error:
        raise SettingsError(
            "the demo runs a real Tryton, which is not installed: pip install 'tulay[demo]'"
        ) from error


def is_built() -> bool:
    """Returns True if the ERP's database is already cached."""
    name = f"tryton-{sandbox.fingerprint(Seed())}.sqlite"
    return (sandbox.default_cache() / name).exists()


@contextmanager
def opened(
    *, customers: int, drawn: Callable[[], AbstractContextManager[Progress]]
) -> Iterator[World]:
    """Starts both systems and a hub between them; ends and removes everything afterwards.

    Raises: SettingsError, ConnectorError.
    """
    check_installed()
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="tulay-demo-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        crm = stack.enter_context(hubspot.start(seed=_FIRST_SEED, records=customers))
        with drawn() as progress:
            progress.start("Tryton", None)
            erp = stack.enter_context(sandbox.start(folder))
            progress.done("Tryton")
        office = OfficeDay.at(erp)
        stack.callback(office.close)
        hub = open_hub(load_settings(_write_config(folder, crm, erp)))
        stack.callback(hub.close)
        _prepare(hub)
        yield World(folder, crm, erp, office, hub)


def _write_config(folder: Path, crm: Twin, erp: Sandbox) -> Path:
    secrets = {"hubspot_token": crm.token, "tryton_password": erp.password}
    for name, secret in secrets.items():
        (folder / name).write_text(secret, encoding="utf-8")
    # Loopback is never behind: what was just changed is read at once, and once.
    content = {
        "database": "sqlite:///tulay.db",
        "connections": {
            "crm": {
                "system": "hubspot",
                "token": "${file:hubspot_token}",
                "base_url": crm.url,
                "search_lag_seconds": 0,
                "overlap_seconds": 5,
            },
            "erp": {
                "system": "tryton",
                **erp.settings(),
                "password": "${file:tryton_password}",
                "payment_term": "30 days",
                "overlap_seconds": 5,
            },
        },
    }
    path = folder / "tulay.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _prepare(hub: Hub) -> None:
    """Creates the fields of our own over there, as `tulay check --prepare` does."""
    for connection in hub.connections.values():
        for finding in connection.connector.prepare(needs(hub, connection)):
            if finding.level == "error":
                raise UnavailableError(f"{connection.name} cannot be prepared: {finding.what}")
