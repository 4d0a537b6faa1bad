"""The keys of tulay.yaml, as pydantic checks them and as JSON Schema for editors."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from hub.flows.settings import FlowSettings
from hub.model.change_limits import ChangeLimit

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Role = Literal["crm", "erp", "both"]


def duration(value: Any) -> timedelta:
    """Returns the duration of a text or a number of seconds.

    >>> duration("1h30m"), duration(60)
    (datetime.timedelta(seconds=5400), datetime.timedelta(seconds=60))
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return timedelta(seconds=value)
    text = str(value).strip().lower()
    if not re.fullmatch(rf"(?:{_PART.pattern}\s*)+", text):
        raise ValueError("must be a duration such as 60s, 5m, 24h or 1d")
    parts = {_UNITS[unit]: float(figure) for figure, unit in _PART.findall(text)}
    if not any(parts.values()):
        raise ValueError("must be longer than zero, such as 60s or 24h")
    return timedelta(**parts)


Duration = Annotated[
    timedelta,
    BeforeValidator(duration),
    WithJsonSchema({"type": ["string", "number"], "examples": ["60s", "5m", "24h"]}),
]


class Strict(BaseModel):
    """Refuses unknown settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedules(Strict):
    """How often streams are read. Webhooks make this faster, never unnecessary."""

    pull: Duration = Field(timedelta(seconds=60), description="Interval between reads of changes.")
    sweep: Duration = Field(
        timedelta(hours=24), description="Interval between checks for deletions and gaps."
    )
    streams: dict[str, Duration] = Field(
        default={}, description="Another `pull` for some streams: `crm.deals: 30s`."
    )

    def pull_every(self, connection: str, stream: str) -> timedelta:
        """Returns the interval between reads of a stream."""
        return self.streams.get(f"{connection}.{stream}", self.pull)


class Limits(Strict):
    """Unusually large changes wait until a person approves them."""

    share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Share of a stream's records that may change in one run.",
    )
    records: int = Field(
        default=50, ge=0, description="Number of records up to which no run waits."
    )
    window: Duration = Field(
        default=timedelta(hours=1),
        description="Runs within this time count together: deletions up to `share`, changes up to"
        " `window_share`.",
    )
    window_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of a stream's records that may change in a `window`; 1: no limit.",
    )
    reversals: int = Field(
        default=10,
        ge=0,
        description="A field that two systems reverse more often in an hour is paused; 0: never.",
    )

    @property
    def limit(self) -> ChangeLimit:
        """The limit as a value of the sync core."""
        return ChangeLimit(self.share, self.records, self.window, self.window_share)


class Web(Strict):
    """Where webhooks, health and metrics are served."""

    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65535)
    public_url: str | None = Field(
        default=None, description="Base of the webhook addresses, as the systems reach this server."
    )


class BudgetSettings(Strict):
    """The rate limit of all processes together, and the share of it for bulk work."""

    requests: int | None = Field(
        default=None, ge=1, description="Calls per `per_seconds`; by default the system's limit."
    )
    per_seconds: float = Field(default=1.0, gt=0)
    bulk_share: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Share of all limits for first reads, sweeps and reconciliation.",
    )
    daily: int | None = Field(
        default=None, ge=1, description="Calls per day; by default what the system reports."
    )


class ConnectionText(BaseModel):
    """One account of a system; all other settings are in that system's manifest."""

    model_config = ConfigDict(extra="allow", frozen=True)

    system: str = Field(description="Name of the connector.")
    role: Role | None = Field(default=None, description="By default the system's usual role.")
    budget: BudgetSettings | None = Field(default=None, description="Our share of its rate limit.")


class FieldPolicyText(Strict):
    """Which systems may set a field, and which one wins if two did."""

    owner: str | list[str] | None = Field(
        default=None,
        description="Connections or roles that may set it; [] only the hub; `any` all of them.",
    )
    on_conflict: str | None = Field(
        default=None, description="Two systems changed it: ask | latest | who wins."
    )
    on_first_match: str | None = Field(
        default=None, description="Two records are linked and differ: ask | latest | who wins."
    )
    when_blank: Literal["keep", "write"] | None = Field(
        default=None, description="write: an emptied field empties it everywhere."
    )
    unit: bool | str | None = Field(
        default=None, description="true: the whole branch is decided together."
    )


class EntityPolicyText(Strict):
    """How one entity is kept in sync. Names are connections or the roles crm and erp."""

    create: list[str] | None = Field(default=None, description="Where the hub may create records.")
    imports: list[str] | None = Field(
        default=None,
        alias="import",
        description="Connections whose unknown records are read into the hub. Default all.",
    )
    delete: Literal["keep", "propagate"] | None = Field(
        default=None, description="The effect of a deletion in one system on the others."
    )
    default: FieldPolicyText | None = Field(
        default=None, description="The policy of all fields that are not named."
    )
    fields: dict[str, FieldPolicyText] = Field(
        default={}, description="Field (`name`), branch (`address`) or list (`lines`) -> policy."
    )


class TulayFile(Strict):
    """tulay.yaml."""

    database: str | None = Field(
        default=None,
        description="sqlite:///tulay.db or postgresql://user:${PASSWORD}@host/name.",
    )
    redis_url: str | None = Field(
        default=None, description="If set, web, worker and scheduler may run as separate processes."
    )
    secret_key: str | list[str] | None = Field(
        default=None,
        description="Encrypts stored OAuth tokens: ${TULAY_SECRET_KEY}, made by `tulay config key`."
        " A list rotates: the first one encrypts, all decrypt.",
    )
    connectors: list[str] = Field(default=[], description="Folders with your own connectors.")
    mappings: list[str] = Field(default=[], description="Folders with your own mappings.")
    connections: dict[str, ConnectionText] = Field(description="The accounts to keep in sync.")
    policies: dict[str, EntityPolicyText] = Field(
        default={}, description="Entity -> what differs from the shipped policies."
    )
    flows: FlowSettings = FlowSettings()
    schedules: Schedules = Schedules()
    limits: Limits = Limits()
    web: Web = Web()
