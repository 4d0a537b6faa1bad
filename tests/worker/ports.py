"""Ports of these tests, and the secret that both sides of a webhook share."""

from __future__ import annotations

import socket
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECRET = "open sesame"
#: Prefix of the process names of forked children of `serve`.
NAMED = "tulay-"


def free_port() -> int:
    """Returns a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
