"""The commands of long-running processes: serve, web, worker, scheduler."""

from __future__ import annotations

from types import ModuleType
from typing import Annotated

import typer

from hub.cli.session import command, session
from worker import rehearse_command


def _service(ctx: typer.Context) -> ModuleType:
    """Imports rq, the web server and whatever else only these commands need; starts logging."""
    from hub.logs import log_to_stderr
    from worker import service

    log_to_stderr(session(ctx).log_config(service=True))
    return service


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    rehearse_command.register(app)

    @command(app)
    def serve(ctx: typer.Context) -> None:
        """Run everything in one process tree: receivers, schedule, worker. Ends with Ctrl-C."""
        _service(ctx).serve(session(ctx).settings(), session(ctx).log_config(service=True))

    @command(app)
    def web(ctx: typer.Context) -> None:
        """Run the receivers of webhooks, health and metrics only."""
        _service(ctx).web(session(ctx).settings())

    @command(app)
    def worker(
        ctx: typer.Context,
        burst: Annotated[
            bool, typer.Option("--burst", help="End when nothing is left to do.")
        ] = False,
    ) -> None:
        """Run a worker. With redis_url it takes the scheduler's jobs, else it finds its own."""
        _service(ctx).run_worker(session(ctx).settings(), burst=burst)

    @command(app)
    def scheduler(ctx: typer.Context) -> None:
        """Queue what is due, for workers on any host. Needs redis_url."""
        _service(ctx).run_scheduler(session(ctx).settings())
