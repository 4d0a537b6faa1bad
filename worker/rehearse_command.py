"""`tulay rehearse`: a simulated working day on emulators, with faults, ending in a certificate."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.exit_codes import FOUND
from hub.cli.progress import progress
from hub.cli.renamed import hint
from hub.cli.screen import Screen
from hub.cli.session import Session, command, session
from hub.cli.termination import on_sigterm
from hub.simulation.certificate import PROMISES, Certificate

#: Where addresses hold passwords: before the last @ of the authority, or in the query.
_IN_PLACE = re.compile(r"^([^/?#]*://[^:/?#@]*:).*(@[^@]*)$", re.DOTALL)
_IN_QUERY = re.compile(r"([?&](?:ssl)?pass(?:word)?=)[^&#]*", re.IGNORECASE)


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def rehearse(
        ctx: typer.Context,
        seed: Annotated[int, typer.Option("--seed", help="Another number, another day.")] = 1,
        changes: Annotated[
            int, typer.Option("--changes", min=1, help="Number of edits that people make.")
        ] = 1000,
        faults: Annotated[
            str,
            typer.Option(
                "--faults",
                help="all, none, or names, optionally with chances: all,down:0.2,skew:0.",
            ),
        ] = "all",
        chances: Annotated[str | None, typer.Option("--vices", hidden=True)] = None,
        workers: Annotated[
            int | None,
            typer.Option(
                "--workers",
                min=0,
                max=64,
                help="Real processes; 0 or 1: one process with a simulated clock, repeatable.",
            ),
        ] = None,
        database: Annotated[
            str | None,
            typer.Option(
                "--database",
                metavar="URL",
                help="A server for a temporary database; default: that of tulay.yaml.",
            ),
        ] = None,
        redis_url: Annotated[
            str | None,
            typer.Option("--redis-url", metavar="URL", help="Redis, for separate queues."),
        ] = None,
        html: Annotated[
            Path | None, typer.Option("--html", metavar="FILE", help="Write a report with charts.")
        ] = None,
    ) -> None:
        """Rehearse a working day on emulators of your systems, with faults and kills.

        Your systems, your database and your queues are not touched. Exit code 1 if a promise is
        broken, with the shortest history that shows it.
        """
        # Like Ctrl-C: the temporary database and the processes must not outlive the command.
        if chances is not None:
            hint("--vices", "--faults")
            faults = chances
        with on_sigterm():
            certificate = _run(
                session(ctx),
                seed=seed,
                changes=changes,
                faults=faults,
                workers=workers,
                database=database,
                redis_url=redis_url,
            )
        if html is not None:
            from hub.simulation.report import page

            html.write_text(page(certificate), encoding="utf-8")
        show(session(ctx).screen, certificate)
        if not certificate.kept:
            raise typer.Exit(FOUND)


def _run(current: Session, *, seed: int, changes: int, faults: str, **options: Any) -> Certificate:
    # Imported late, because it is slow and no other command needs it.
    from hub.simulation.faults import chosen
    from hub.simulation.in_process import rehearse as alone
    from hub.simulation.perform import SimulationSpec
    from hub.simulation.shipped import settings_for
    from hub.simulation.stage import Setup

    with tempfile.TemporaryDirectory(prefix="tulay-settings-") as name:
        settings, given = settings_for(current.config, Path(name))
        where = options_of(**options)
        spec = SimulationSpec(
            Setup.of(settings), seed, changes, chosen(faults), faults, given, where
        )
        database = options["database"] or (settings.database if given else None)
        redis_url, workers = options["redis_url"], options["workers"]
        if redis_url is None and settings.redis_url is not None and workers not in (0, 1):
            redis_url = settings.redis_url.get_secret_value()
        if workers is None:
            workers = 4 if redis_url is not None else 1
        with progress(current) as bars:
            bars.start("rehearsing", changes)
            if workers > 1:
                from worker.simulation import rehearse as together

                return together(
                    spec,
                    workers=workers,
                    database=database,
                    redis_url=redis_url,
                    advance=lambda count: bars.advance("rehearsing", count),
                )
            return alone(
                spec, database=database, advance=lambda count: bars.advance("rehearsing", count)
            )


def options_of(
    *, workers: int | None, database: str | None, redis_url: str | None
) -> tuple[str, ...]:
    """Returns the options of the command for its servers, without passwords.

    >>> options_of(workers=4, database="postgresql://me:secret@db/test", redis_url=None)
    ('--workers', '4', '--database', 'postgresql://me:PASSWORD@db/test')
    """
    words = [] if workers is None else ["--workers", str(workers)]
    for name, url in (("--database", database), ("--redis-url", redis_url)):
        words += [] if url is None else [name, without_password(url)]
    return tuple(words)


def without_password(url: str) -> str:
    """Returns an address with its passwords replaced.

    >>> without_password("redis://:a%40b@cache:6379/1?password=x"), without_password("sqlite:///x")
    ('redis://:PASSWORD@cache:6379/1?password=PASSWORD', 'sqlite:///x')
    """
    return _IN_QUERY.sub(r"\1PASSWORD", _IN_PLACE.sub(r"\1PASSWORD\2", url))


def show(screen: Screen, certificate: Certificate) -> None:
    """Prints the certificate: figures, promises, and what is broken."""
    screen.document(certificate.document())
    screen.table(("what", "figure"), certificate.rows(), empty="nothing happened")
    promises = certificate.promises
    rows = [(name, promises[name], words) for name, words in PROMISES.items()]
    screen.raw("")
    screen.table(("promise", "state", "meaning"), rows, empty="")
    for name, found in certificate.broken.items():
        screen.say(f"{name} {PROMISES[name]}: broken {len(found)} times", "bold red")
        for finding in found[:5]:
            screen.say(f"  {finding}")
    if certificate.story:
        screen.say("the shortest history that shows it:")
        for line in certificate.story:
            screen.say(f"  {line}")
    screen.note(f"again: {certificate.command}")
