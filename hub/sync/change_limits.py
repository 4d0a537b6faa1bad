"""Limits how much a run may change, on its own and together with the runs of the last hour.

A run that would exceed the limit stops before anything is stored or written, and waits until a
person approves it with `tulay resume CONNECTION STREAM --accept`.
"""

from __future__ import annotations

from sqlalchemy import Connection as Transaction

from hub.model.change_limits import ChangeLimit, exceeds_limit, exceeds_window_limit
from hub.store import outbox, recent_changes
from hub.store.connections import pause_reason, save_connection
from hub.store.links import count_links
from hub.store.runs import Tally, last_pause, save_run, start_run
from hub.store.streams import accepted_streams, save_stream, stream_state
from hub.sync.context import Channel, Hub

#: Changes that were made by people in the remote system.
_SEEN = ("changed", "gone")


class ChangeLimitError(Exception):
    """The run would change more than its limit. Never leaves the run."""


def note_changes(hub: Hub, tx: Transaction, tally: Tally) -> None:
    """Records which known records a page has changed, and counts the recent changes."""
    if not tally.recent:
        return
    connection, stream = tally.connection, tally.stream
    if stream_state(tx, connection, stream).accepted:
        # Changes that a person has accepted must not trigger the limit again.
        recent_changes.forget(tx, connection, stream, kinds=_SEEN)
        return
    now = hub.clock()
    recent_changes.forget_before(tx, connection, stream, before=now - hub.limit.window)
    recent_changes.note(tx, connection, stream, tally.recent, now=now)
    tally.lately, _ = recent_changes.lately(tx, connection, stream)


def guard(hub: Hub, tally: Tally, *, known: int, accepted: bool) -> None:
    """Raises ChangeLimitError, before the page is stored, if the run exceeds the change limit."""
    if accepted:
        return
    stream, limit = f"{tally.connection} {tally.stream}", hub.limit
    if exceeds_limit(tally.touched, known, limit):
        raise ChangeLimitError(
            f"this run would change or delete more than {limit.records} records and"
            f" {limit.share:.0%} of {known}; {_what_to_do(tally.connection, stream)}"
        )
    # Records deleted by earlier runs within the window were known before it, too.
    known += max(tally.lately.gone - tally.gone, 0)
    if exceeds_window_limit(tally.lately, known, limit):
        raise ChangeLimitError(
            f"{tally.lately.gone} records were deleted and {tally.lately.changed} changed within"
            f" {_words(limit)}, of {known}, which is unusually many;"
            f" {_what_to_do(tally.connection, stream)}"
        )


def _what_to_do(connection: str, place: str) -> str:
    return f"look at {connection}, then run `tulay resume {place} --accept`"


def _words(limit: ChangeLimit) -> str:
    """Returns the window of the limit in words.

    >>> _words(ChangeLimit())
    '60 minutes'
    """
    return f"{limit.window.total_seconds() / 60:.3g} minutes"


def hold_deletions(hub: Hub, channel: Channel, keys: list[str]) -> str | None:
    """Returns why these deletions must wait, after pausing the stream; None if they may happen."""
    connection, stream = channel.connection, channel.stream
    with hub.store.begin() as tx:
        state = stream_state(tx, connection, stream)
        if state.paused_at is not None:
            return str(state.reason)
        if state.accepted:
            recent_changes.forget(tx, connection, stream, kinds=["deleted"])
            return None
        now = hub.clock()
        recent_changes.forget_before(tx, connection, stream, before=now - hub.limit.window)
        _, lately = recent_changes.lately(tx, connection, stream)
        wanted = max(recent_changes.deletes_waiting(tx, connection, stream), len(keys))
        known = count_links(tx, connection, stream) + lately
        if not exceeds_limit(wanted + lately, known, hub.limit):
            recent_changes.note(tx, connection, stream, dict.fromkeys(keys, "deleted"), now=now)
            return None
        reason = (
            f"{wanted} records were deleted elsewhere and would be deleted here, of {known}"
            f" ({lately} were within {_words(hub.limit)});"
            f" {_what_to_do('what was deleted', f'{connection} {stream}')}"
        )
        save_stream(tx, connection, stream, paused_at=now, reason=reason)
        tally = Tally(hub.fresh_id(), "push", connection, stream, now)
        start_run(tx, tally)
        save_run(tx, tally, state="paused", finished_at=now, reason=reason)
    return reason


def deletions_are_done(hub: Hub, connection: str) -> None:
    """Ends the approval of deletions by the hub once none is waiting any more."""
    with hub.store.read() as tx:
        accepted = accepted_streams(tx, connection)
    for stream in accepted:
        with hub.store.begin() as tx:
            if not recent_changes.deletes_waiting(tx, connection, stream):
                acceptance_is_used(tx, connection, stream, kind="push")


def acceptance_is_used(tx: Transaction, connection: str, stream: str, *, kind: str) -> None:
    """Ends the approval of an unusually large change when a run of the paused kind has finished."""
    if stream_state(tx, connection, stream).accepted:
        asked = last_pause(tx, connection, stream)
        if asked == kind or (asked is None and kind != "push"):
            save_stream(tx, connection, stream, accepted=0)


def lift(hub: Hub, connection: str, stream: str | None, *, accept: bool) -> list[str]:
    """Lifts the pauses; returns what was paused or, with `accept`, is accepted now."""
    one = hub.connection(connection)
    streams = list(one.channels) if stream is None else [one.channel(stream).stream]
    free = {"paused_at": None, "reason": None}
    lifted: list[str] = []
    with hub.store.begin() as tx:
        if pause_reason(tx, connection) is not None:
            save_connection(tx, connection, **free)
            lifted.append(connection)
        for name in streams:
            state = stream_state(tx, connection, name)
            if state.paused_at is not None or (accept and stream is not None):
                accepted = {"accepted": 1} if accept else {}
                save_stream(tx, connection, name, **free, **accepted)
                lifted.append(f"{connection}.{name}")
        if lifted:
            outbox.resume_held(tx, connection, now=hub.clock())
    return lifted
