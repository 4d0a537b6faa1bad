"""`python -m worker.child NAME FILE`: one process of `tulay serve`."""

from __future__ import annotations

import sys

from hub.settings import load_settings
from worker.service import CHILDREN, end_with_parent, log_to_stderr


def main() -> None:
    """Runs the child that the command line names, until it or its parent is ended."""
    name, path = sys.argv[1:]
    log_to_stderr()
    end_with_parent()
    CHILDREN[name](load_settings(path))


if __name__ == "__main__":
    main()
