"""The errors of the hub itself.

HubError
├── SettingsError
├── UnknownError
├── DecisionError
└── LinkError
"""

from __future__ import annotations


class HubError(Exception):
    """The hub cannot do what was asked. Messages say what failed, for what, and what to do."""


class SettingsError(HubError):
    """tulay.yaml, the environment or a mapping is wrong: refuse to start."""


class UnknownError(HubError):
    """There is no such connection, entity, record, run or entry."""


class DecisionError(HubError):
    """A person's decision cannot be carried out: the message says why, and what can be done."""


class LinkError(HubError):
    """Two records claim the same link: a person must decide between them."""
