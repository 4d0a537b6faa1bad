"""`tulay errors`: the records that cannot be read, written or derived now, and why.

push-N is a write that waits or was refused, pull-N a record that cannot be read, flow-N a
derivation that waits for something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import Connection as Transaction

from connectors.kit.errors import ConnectorError
from hub.cli.renamed import hint
from hub.cli.screen import complain, plain, shown
from hub.cli.session import callback, command, group, session
from hub.sync.context import Hub
from hub.sync.operate.entries import Entry, drop, entries, entry, retry
from hub.sync.operate.unlisted import unlisted_value

EntryId = Annotated[str, typer.Argument(metavar="ENTRY", help="Id of an entry, such as push-3.")]

#: An entry is known by its kind and number.
_EXAMPLE = "push-3"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    nouns = group("Records that cannot be synced now: list, show, retry, drop.", bare=True)
    app.add_typer(nouns, name="errors")
    add_commands(nouns)


def add_commands(nouns: typer.Typer, *, renamed: bool = False, retry_name: str = "retry") -> None:
    """Adds the commands of the noun; under an old name of it they begin with a hint."""

    @callback(nouns)
    def bare(ctx: typer.Context) -> None:
        """Records that cannot be read, written or derived now, with the reason."""
        if renamed:
            called = ctx.invoked_subcommand or ""
            new = "retry" if called == retry_name else called
            hint(
                f"`{f'tulay {ctx.info_name} {called}'.strip()}`",
                f"`{f'tulay errors {new}'.strip()}`",
            )
        if ctx.invoked_subcommand is None:
            _list(ctx, each=False)

    @command(nouns, "list")
    def listing(
        ctx: typer.Context,
        each: Annotated[
            bool, typer.Option("--each", help="One row per record, also for equal errors.")
        ] = False,
    ) -> None:
        """List quarantined records; equal errors are one row with a count."""
        _list(ctx, each=each)

    @command(nouns)
    def show(ctx: typer.Context, entry_id: EntryId) -> None:
        """Show one entry with its attempts and the next step."""
        _show(ctx, entry_id)

    @command(nouns, retry_name)
    def again(
        ctx: typer.Context,
        entry_id: Annotated[
            str | None, typer.Argument(metavar="[ENTRY]", help="Id of an entry, such as push-3.")
        ] = None,
        everything: Annotated[bool, typer.Option("--all", help="Retry all entries.")] = False,
    ) -> None:
        """Retry one entry, or all, with the next sync."""
        if (entry_id is None) == (not everything):
            raise typer.BadParameter(f"name one entry, such as {_EXAMPLE}, or use --all")

        def act(tx: Transaction, chosen: Sequence[Entry], now: Any) -> None:
            retry(tx, chosen, now=now)

        _change(ctx, entry_id, act, done="will be retried with the next sync")

    @command(nouns, "drop")
    def forget(ctx: typer.Context, entry_id: EntryId) -> None:
        """Drop one entry: it is not retried unless the record changes."""
        _change(ctx, entry_id, lambda tx, chosen, _: drop(tx, chosen), done="dropped")


def _list(ctx: typer.Context, *, each: bool) -> None:
    with session(ctx).hub() as hub, hub.store.read() as tx:
        found = entries(hub, tx)
    screen = session(ctx).screen
    screen.document([document(one) for one in found])
    groups = [[one] for one in found] if each else alike(found)
    screen.table(
        ["entry", "state", "where", "record", "reason"],
        [
            (first.id, first.state, first.where, _named(first, len(rest)), first.reason)
            for first, *rest in groups
        ],
        empty="nothing is in quarantine",
    )
    if len(groups) < len(found):
        screen.note(
            f"{len(found):,} records; equal errors are one row,"
            " tulay errors list --each has one row per record"
        )


def alike(found: Iterable[Entry]) -> list[list[Entry]]:
    """Returns entries in groups with the same error in the same place."""
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for one in found:
        about = (one.kind, one.state, one.where, one.entity, one.reason)
        groups.setdefault(about, []).append(one)
    return list(groups.values())


def document(one: Entry) -> dict[str, Any]:
    """Returns an entry as JSON has it."""
    return dict(plain(one))


def _named(one: Entry, others: int) -> str:
    return one.name if not others else f"{one.name} and {others:,} more"


def _show(ctx: typer.Context, entry_id: str) -> None:
    screen = session(ctx).screen
    with session(ctx).hub() as hub:
        with hub.store.read() as tx:
            one = entry(hub, tx, entry_id)
        # For the person at the terminal only: what is piped may be kept.
        value = _unlisted(hub, one) if screen.terminal else None
    screen.document(document(one))
    screen.table(
        ["what", "is"],
        [
            ("entry", one.id),
            ("record", one.name),
            ("key", one.what),
            ("where", one.where),
            ("state", one.state),
            ("cause", one.cause),
            ("reason", one.reason),
            *([] if value is None else [("value", value)]),
            ("error", one.error),
            ("attempts", one.attempts),
            ("since", one.first_at),
            ("next", _next(one)),
        ],
        empty="",
    )


def _unlisted(hub: Hub, one: Entry) -> object:
    try:
        return unlisted_value(hub, one)
    except ConnectorError as error:
        complain(f"the value cannot be shown: {error}", "warning")
        return None


def _next(one: Entry) -> str:
    if one.due_at is not None:
        return f"retried at {shown(one.due_at)}, or now: tulay errors retry {one.id}"
    return f"{one.next_action}; then: tulay errors retry {one.id}"


def _change(
    ctx: typer.Context,
    entry_id: str | None,
    act: Callable[[Transaction, Sequence[Entry], Any], None],
    *,
    done: str,
) -> None:
    """Does something to one entry, or to all of them."""
    with session(ctx).hub() as hub, hub.store.begin() as tx:
        chosen = entries(hub, tx) if entry_id is None else [entry(hub, tx, entry_id)]
        act(tx, chosen, hub.clock())
    screen = session(ctx).screen
    ids = [one.id for one in chosen]
    screen.document({"errors": ids, "letters": ids})
    for group_ in alike(chosen):
        first, *rest = group_
        screen.say(f"{first.id} {_named(first, len(rest))}: {done}")
    if not ids:
        screen.say("nothing is in quarantine")
