"""The twin as tests and the command line hold it: start, stop, clock, faults, log and the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from connectors.hubspot.twin.account import UI, Account, Drafts, Settings
from connectors.hubspot.twin.data_faults import KNOWN, LAG_MS
from connectors.hubspot.twin.fault_replies import voice
from connectors.hubspot.twin.http_app import TwinApp
from connectors.hubspot.twin.limits import Limits
from connectors.hubspot.twin.page_faults import bring_back
from connectors.hubspot.twin.render import whole
from connectors.hubspot.twin.seed import seed_account
from connectors.hubspot.twin.serving import Serving
from connectors.hubspot.twin.stored_record import Record
from connectors.hubspot.twin.tokens import Tokens
from connectors.hubspot.twin.webhooks import Webhooks
from connectors.kit.faults import Chances, chosen, only, skew
from connectors.kit.twin import Clock, Faults, Faulty, RequestLog

#: The bearer token that is let in when no other is named; there is nothing here to protect.
TOKEN = "twin-token"  # noqa: S105


class Twin:
    """A HubSpot account of one's own, on loopback."""

    def __init__(
        self,
        *,
        token: str = TOKEN,
        seed: int = 0,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.faults = Faults(seed)
        self.log = RequestLog()
        self.account = Account(self.clock, settings)
        self.settings = self.account.settings
        self.token = token
        self.tokens = Tokens(self.clock, token)
        self.limits = Limits(self.account)
        self.client_secret = self.tokens.client_secret
        self.developer_key = "twin-developer-key"
        self.webhooks = Webhooks(self.account, self.client_secret)
        self.account.webhooks = self.webhooks
        self.account.events.listeners.append(self.webhooks.hear)
        front = TwinApp(self.account, self.tokens, self.limits, self.webhooks, self.developer_key)
        app = Faulty(front.app(), clock=self.clock, faults=self.faults, log=self.log, voice=voice)
        self._serving = Serving(app, self.webhooks)

    # -- serving -----------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Returns the address that stands for https://api.hubapi.com."""
        return self._serving.url

    def open(self, port: int = 0) -> Twin:
        """Answers from a background thread."""
        self._serving.start(port)
        return self

    def run(self, port: int, *, ready: Callable[[Twin], None] | None = None) -> None:
        """Answers in the foreground until interrupted; `ready` is called when the url is known."""
        self._serving.run(port, ready=lambda: ready and ready(self))

    def stop(self) -> None:
        """Ends server and deliveries; idempotent."""
        self._serving.stop()

    def __enter__(self) -> Twin:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- faults ------------------------------------------------------------------------------------

    def inject_faults(self, faults: str | Chances = "none", *, seed: int = 0) -> None:
        """Switches on these faults of `connectors.kit.faults`, and all others off.

        Finer ones, for one route or once, are added by `faults.add`. A wrong clock stays wrong:
        one that is corrected jumps. Raises: FaultError.
        """
        chances = chosen(faults)
        only(chances, KNOWN, whose="a HubSpot twin")
        self.faults.inject_faults(chances, "* /[!o]*", seed=seed)  # grants are for `rotated`
        rotated = chances.get("rotated", 0.0)
        if rotated:
            self.faults.add("lost", "POST /oauth/*", probability=rotated / 2)
            self.faults.add("truncated", "POST /oauth/*", probability=rotated / 2)
        with self.account.lock, self.webhooks.together():
            bring_back(self.account)
            self.account.data_faults.take_on(chances, seed)
            self.account.settings.search_lag_ms = LAG_MS if "lag" in chances else 0
            self.tokens.rotate = self.tokens.grace = bool(rotated)
            self.tokens.fickle = lambda: self.account.data_faults.dice.strikes("token")
            if "skew" in chances:
                self.clock.skew = timedelta(seconds=skew(seed))

    # -- the data, as a user sees and changes it in the UI -----------------------------------------

    def _record(self, name: str, key: str, *, archived: bool = False) -> Record:
        return self.account.need(self.account.catalogue[name], str(key), archived=archived)

    def objects(self, name: str, *, archived: bool = False) -> list[dict[str, Any]]:
        """Returns all records of a type, each with every property that has a value."""
        with self.account.lock:
            return [
                whole(self.account, record)
                for record in self.account.records(self.account.catalogue[name]).values()
                if (record.archived is not None) == archived
            ]

    def get(self, name: str, key: str) -> dict[str, Any]:
        """Returns one record, by an old id too. Raises: Refusal (404)."""
        with self.account.lock:
            return whole(self.account, self._record(name, key))

    def count(self, name: str) -> int:
        """Returns how many records of a type are not archived."""
        with self.account.lock:
            return sum(1 for _ in self.account.live(self.account.catalogue[name]))

    def create(
        self,
        name: str,
        /,
        *,
        associations: Mapping[str, Sequence[str]] | None = None,
        **values: Any,
    ) -> str:
        """Makes a record as a user does and returns its id. Raises: Refusal."""
        with self.account.lock, self.webhooks.together():
            targets: Drafts = [
                (self._record(there, key), ())
                for there, keys in (associations or {}).items()
                for key in keys
            ]
            record = self.account.create(
                self.account.catalogue[name], values, links=targets, source=UI
            )
            return str(record.id)

    def edit(self, name: str, key: str, /, **values: Any) -> dict[str, Any]:
        """Changes properties as a user does. Raises: Refusal."""
        with self.account.lock, self.webhooks.together():
            record = self._record(name, key)
            self.account.update(record, values, source=UI)
            return whole(self.account, record)

    def associate(self, name: str, key: str, *, to: str, id: str, primary: bool = False) -> None:
        """Links two records as a user does."""
        with self.account.lock, self.webhooks.together():
            one, other = self._record(name, key), self._record(to, id)
            kind = self.account.links.types.primary(one.kind.name, other.kind.name)
            labels = [(kind.category, kind.id)] if primary and kind is not None else []
            self.account.link(one, other, labels, source=UI)

    def dissociate(self, name: str, key: str, *, to: str, id: str) -> None:
        """Removes all links between two records."""
        with self.account.lock, self.webhooks.together():
            self.account.unlink(self._record(name, key), self._record(to, id), source=UI)

    def archive(self, name: str, key: str) -> None:
        """Deletes a record as a user does: it goes to the bin."""
        with self.account.lock, self.webhooks.together():
            self.account.archive(self._record(name, key), source=UI)

    def restore(self, name: str, key: str) -> None:
        """Takes a record out of the bin."""
        with self.account.lock, self.webhooks.together():
            self.account.restore(self._record(name, key, archived=True))

    def merge(self, name: str, winner: str, loser: str) -> str:
        """Merges two records as a user does and returns the id of the new one."""
        with self.account.lock, self.webhooks.together():
            one, other = self._record(name, winner), self._record(name, loser)
            return str(self.account.merge(one, other, source=UI).id)

    def touch(self, name: str) -> int:
        """Bumps all records of a type at one and the same millisecond; returns how many.

        quirk(hubspot): month-end jobs do this, and more than 10,000 ties break naive paging
        (airbytehq/airbyte issue 43317).
        """
        with self.account.lock:
            records = list(self.account.live(self.account.catalogue[name]))
            at = max([self.clock.ms(), *(record.updated + 1 for record in records)])
            for record in records:
                record.updated = at
            return len(records)

    def subscribe(self, url: str, *events: str) -> None:
        """Sends webhooks of these events to an address; `Webhooks.subscribe_to` has examples."""
        self.webhooks.target = url
        for event in events:
            self.webhooks.subscribe_to(event)


def build(
    *,
    seed: int = 0,
    records: int = 0,
    token: str = TOKEN,
    won: int = 0,
    settings: Settings | None = None,
    faults: str | Chances = "none",
    clock: Clock | None = None,
) -> Twin:
    """Returns a twin with `records` companies and their belongings; `won` deals are closed won."""
    twin = Twin(token=token, seed=seed, settings=settings, clock=clock)
    seed_account(twin.account, seed=seed, companies=records, won=won)
    if chosen(faults):
        twin.inject_faults(faults, seed=seed)
    return twin
