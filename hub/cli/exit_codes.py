"""How a command ends: every error becomes one line for people and one exit code."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from connectors.kit.errors import ConnectorError, UnavailableError
from hub.errors import HubError, SettingsError
from mappings.kit.errors import MappingError

OK, FOUND, USAGE, CONNECTION, UNAVAILABLE, DATABASE, BUG, STOPPED = 0, 1, 2, 3, 4, 5, 70, 130

#: The table of exit codes: in the README and in `tulay --help`.
CODES = {
    OK: "done, nothing to report",
    FOUND: "done, and there are findings, differences or failures to look at",
    USAGE: "the command, tulay.yaml, the environment or a mapping is wrong",
    CONNECTION: "a system refuses us: credentials, rights, or an answer it should not give",
    UNAVAILABLE: "a system does not answer; the same command later will do",
    DATABASE: "the database does not answer or refuses",
    BUG: "an error in Tulay; run it again with --debug and report it",
    STOPPED: "stopped by Ctrl-C",
}

_ROOT = Path(__file__).resolve().parents[2]


def epilog() -> str:
    """Returns the exit codes in one line for `tulay --help`."""
    return "Exit codes: " + "; ".join(f"{code} {words}" for code, words in CODES.items()) + "."


def code_of(error: BaseException) -> int:
    """Returns the exit code of an error.

    >>> code_of(UnavailableError("down")), code_of(SettingsError("no")), code_of(KeyError("x"))
    (4, 2, 70)
    """
    match error:
        case UnavailableError():
            return UNAVAILABLE
        case ConnectorError():
            return CONNECTION
        case SettingsError() if _of_database(error.__cause__):
            return DATABASE
        case HubError() | MappingError():
            return USAGE
        case _ if _of_registry(error):
            return USAGE
        case _ if _of_database(error):
            return DATABASE
        case KeyboardInterrupt():
            return STOPPED
        case _:
            return BUG


def _of_database(error: BaseException | None) -> bool:
    """Returns True for an error of SQLAlchemy, which is not loaded just to ask."""
    module = sys.modules.get("sqlalchemy.exc")
    return module is not None and isinstance(error, module.SQLAlchemyError)


def _of_registry(error: BaseException) -> bool:
    """Returns True for an error of the connectors' registry, which is not loaded just to ask."""
    module = sys.modules.get("connectors.kit.registry")
    return module is not None and isinstance(error, module.RegistryError)


def message_of(error: BaseException) -> str:
    """Returns what to tell people: what, which, what to do; never a payload or a secret."""
    code = code_of(error)
    if code == BUG:
        kind, theirs = type(error).__name__, _connector_place(error)
        if theirs is not None:
            return (
                f"this is an error in a connector of yours: {kind} in {theirs}; run the command"
                " again with --debug, and its contract tests"
            )
        return (
            f"this is an error in Tulay: {kind} in {_place(error)}; run the command again with"
            " --debug and report what it says"
        )
    if _of_database(error):
        # Its own words quote statements and values: customer data.
        kind = type(getattr(error, "orig", None) or error).__name__
        return f"the database refused ({kind}) in {_place(error)}; check `database:` and its server"
    return "stopped" if code == STOPPED else str(error)


def _connector_place(error: BaseException) -> str | None:
    """Returns the innermost line in a connector folder outside Tulay, if the error came by one."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if not path.is_relative_to(_ROOT) and (path.parent / "manifest.yaml").is_file():
            return f"{path.parent.name}/{path.name}:{frame.lineno}"
    return None


def _place(error: BaseException) -> str:
    """Returns the innermost line of ours that the error passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_ROOT)]
    if not frames:
        return "an unknown place"
    frame = (ours or list(frames))[-1]
    path = Path(frame.filename)
    shown = path.relative_to(_ROOT) if path.is_relative_to(_ROOT) else path.name
    return f"{shown}:{frame.lineno}"
