"""`python -m worker.child NAME FILE FORMAT LEVEL`: one process of `tulay serve`."""

from __future__ import annotations

import logging
import sys

from hub.cli.exit_codes import BUG, code_of, message_of
from hub.logs import LogConfig, log_to_stderr
from hub.settings import load_settings
from worker.service import CHILDREN, end_with_parent

log = logging.getLogger("tulay.serve")


def main() -> None:
    """Runs the child named on the command line, until it or its parent is ended."""
    name, path, *words = sys.argv[1:]
    log_to_stderr(LogConfig.of_words(words))
    end_with_parent()
    try:
        CHILDREN[name](load_settings(path))
    except Exception as error:
        # One line for people, as on the command line; programming errors with their traceback.
        code = code_of(error)
        log.error(
            "%s: %s",
            *(name, message_of(error)),
            exc_info=error if code == BUG else None,
            extra={"child": name, "exit_code": code, "error_kind": type(error).__name__},
        )
        sys.exit(code)


if __name__ == "__main__":
    main()
