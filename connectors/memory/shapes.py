"""The properties of a stream of the memory system, and the system's faults: plain values.

Both are kept in the system's file, so that every process sees the same. Nothing here acts.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from connectors.kit.manifest import StreamFacts

#: Faults that a script may request, one call each.
Fault = Literal["read", "find", "before", "lost", "partial", "row_lost", "rate", "curt"]


class StreamShape(BaseModel):
    """One stream: its claims, and how it treats values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: As in manifest.yaml; the system behaves exactly like that.
    facts: StreamFacts
    #: Dotted path -> type (FieldInfo.type): declared fields. Others are inferred from records.
    fields: dict[str, str] = {}
    #: Only declared fields are accepted.
    closed: bool = False
    #: Dotted paths that must be filled in every record.
    required: tuple[str, ...] = ()
    #: Dotted paths that no two live records may share.
    unique: tuple[str, ...] = ()
    #: No two live records may carry the same hub id, as where the API has unique fields.
    once_unique: bool = True
    #: Dotted path -> upper | lower | strip | truncate:N | round:N.
    ways: dict[str, str] = {}
    #: items: list items are patched by `id`; replace: a patch replaces the whole list.
    lists: Literal["items", "replace"] = "items"
    #: Action -> state it starts from -> state it leads to.
    acts: dict[str, dict[str, str]] = {}
    #: The field that holds the state, when there are `acts`; only `Act` may change it.
    state: str = "state"
    #: The state of a new record, when there are `acts`.
    initial: str = "draft"


class Faults(BaseModel):
    """The system's faults. Probabilities are 0..1 per call and drawn from `seed`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Nothing answers at all.
    down: bool = False
    #: A read fails.
    read: float = 0.0
    #: A write fails before anything happened, but the caller cannot know.
    before: float = 0.0
    #: A write happens and the answer is lost.
    lost: float = 0.0
    #: The first part of a batch happens, then the line breaks.
    partial: float = 0.0
    #: Writes happen, and one row of the answer says "unavailable".
    row_lost: float = 0.0
    #: The call is refused because of the rate limit.
    rate: float = 0.0
    #: Seconds named in "retry after".
    retry_after: float = 1.0
    #: Changes younger than these seconds do not show in increments (a search index that lags).
    lag: float = 0.0
    #: `find` lags like increments do.
    find_lags: bool = False
    #: Seconds between the commit of a write and its answer.
    slow: float = 0.0
    #: Faults for the next calls to which they apply, in this order; before any probability.
    script: tuple[Fault, ...] = ()
    #: Active faults of `connectors.kit.faults` -> their probability.
    chances: dict[str, float] = {}
    #: Seconds by which the system's clock is wrong.
    skew: float = 0.0
    #: Changes within these seconds carry the same time.
    ties: float = 0.0
    #: A merge makes a third record.
    merged: bool = False
    #: Stream -> share of its records, 0..1, that full reads, sweeps and fetches do not show, as if
    #: a permission was lost.
    hidden: dict[str, float] = {}
    #: Last part of a path -> way of writing, in all streams.
    ways: dict[str, str] = {}
    seed: int = 0
