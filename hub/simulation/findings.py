"""What a simulation finds wrong: broken promises, and errors that the hub should never raise."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from hub.errors import HubError
from mappings.kit.errors import MappingError

#: Errors that a defect of the hub may raise.
DEFECTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    HubError,
    LookupError,
    MappingError,
    RuntimeError,
    SQLAlchemyError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise."""

    #: P1 to P12
    promise: str
    #: What is wrong, for display.
    what: str
    #: The subjects it is about.
    subjects: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The same for all findings of one kind, whatever the record."""
        words = [w for w in self.what.split() if not any(c.isdigit() or c in "'\"" for c in w)]
        return f"{self.promise} {' '.join(words[:6])}"


def broke_down(kind: str, error: BaseException) -> Finding:
    """Returns the finding that a job ended in an error it should never raise."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    position = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace is not None else ""
    return Finding("P6", f"{kind} broke down: {type(error).__name__} in {position}: {error}")
