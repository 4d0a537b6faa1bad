"""`tulay demo`: a CRM and a real ERP on this machine, and a day in their life."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from hub.cli.exit_codes import FOUND
from hub.cli.progress import progress
from hub.cli.session import command, session
from hub.cli.termination import on_sigterm


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @command(app)
    def demo(
        ctx: typer.Context,
        keep: Annotated[
            bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")
        ] = False,
        customers: Annotated[
            int, typer.Option("--customers", min=60, max=2000, help="Customers in the CRM.")
        ] = 200,
    ) -> None:
        """Watch a HubSpot twin and a real Tryton being kept together: no account needed.

        The first time builds Tryton's database (about two minutes), later it takes under one.
        Exit code 1 when something differs at the end.
        """
        # Starting the systems is slow to import; no other command should pay for it.
        from hub.demo.start import play

        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # who reads a pipe waits for every line
        current = session(ctx)
        with on_sigterm():
            well = play(current.screen, lambda: progress(current), customers=customers, keep=keep)
        if not well:
            raise typer.Exit(FOUND)
