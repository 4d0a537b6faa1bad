"""Where things are in these tests, and what both sides of a webhook know."""

from __future__ import annotations

import socket
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECRET = "open sesame"
#: What the names of forked children of `serve` begin with, as the system shows them.
NAMED = "tulay-"


def free_port() -> int:
    """Returns a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
