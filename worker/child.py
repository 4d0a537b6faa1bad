"""`python -m worker.child NAME FILE`: one process of `tulay serve`."""

from __future__ import annotations

import logging
import sys

from hub.cli.exit_codes import BUG, code_of, message_of
from hub.settings import load_settings
from worker.service import CHILDREN, end_with_parent, log_to_stderr

log = logging.getLogger("tulay.serve")


def main() -> None:
    """Runs the child named on the command line, until it or its parent is ended."""
    name, path = sys.argv[1:]
    log_to_stderr()
    end_with_parent()
    try:
        CHILDREN[name](load_settings(path))
    except Exception as error:
        # One line for people, as on the command line; programming errors with their traceback.
        code = code_of(error)
        log.error("%s: %s", name, message_of(error), exc_info=error if code == BUG else None)
        sys.exit(code)


if __name__ == "__main__":
    main()
