"""What can go wrong in the hub itself.

HubError
├── SettingsError
├── UnknownError
├── DecisionError
└── LinkError
"""

from __future__ import annotations


class HubError(Exception):
    """The hub cannot do what was asked. Messages say what, which, and what to do."""


class SettingsError(HubError):
    """tulay.yaml, the environment or a mapping is wrong: refuse to start."""


class UnknownError(HubError):
    """There is no such connection, entity, record, run or letter."""


class DecisionError(HubError):
    """What a person decided cannot be done: the message says why, and what can."""


class LinkError(HubError):
    """Two records claim one place: somebody must decide which is which."""
