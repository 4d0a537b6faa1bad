"""The commands that keep things running: serve, web, worker, scheduler."""

from __future__ import annotations

from typing import Annotated

import typer

from hub.cli.session import command, session
from worker import service


def register(app: typer.Typer) -> None:
    """Adds the commands."""

    @command(app)
    def serve(ctx: typer.Context) -> None:
        """Run everything in one process tree: receivers, schedule, worker. Ends with Ctrl-C."""
        service.log_to_stderr()
        service.serve(session(ctx).settings())

    @command(app)
    def web(ctx: typer.Context) -> None:
        """Run the receivers of webhooks, health and metrics only."""
        service.log_to_stderr()
        service.web(session(ctx).settings())

    @command(app)
    def worker(
        ctx: typer.Context,
        burst: Annotated[
            bool, typer.Option("--burst", help="End when nothing is left to do.")
        ] = False,
    ) -> None:
        """Run a worker. With redis_url it takes jobs of the scheduler, else it finds its own."""
        service.log_to_stderr()
        service.run_worker(session(ctx).settings(), burst=burst)

    @command(app)
    def scheduler(ctx: typer.Context) -> None:
        """Queue what is due, for workers on any host. Needs redis_url."""
        service.log_to_stderr()
        service.run_scheduler(session(ctx).settings())
