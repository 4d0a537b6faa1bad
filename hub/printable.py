"""Makes untrusted text safe to print: it cannot control a terminal or fake another line."""

from __future__ import annotations

import re

#: Control characters except line ends, and marks that change the reading direction.
_STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    r"""Returns a text that cannot move the cursor, set titles or colours, or turn a line around.

    >>> harmless("Acme \x1b[2J\u202egnp.exe")
    'Acme \\x1b[2J\\u202egnp.exe'
    """
    return _STEERING.sub(lambda found: repr(found.group())[1:-1], text)


def one_line(text: str) -> str:
    r"""Returns a text as one harmless line.

    >>> one_line("refused\n2027-01-15 ERROR invented")
    'refused\\n2027-01-15 ERROR invented'
    """
    return harmless(text).replace("\n", "\\n")
