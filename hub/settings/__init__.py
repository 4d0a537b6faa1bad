"""tulay.yaml, read and checked: every error names the line, the nearest valid name and what to do.

No connection and no database is opened here; a secret is never part of a message or a repr.
"""

from hub.settings.connection_settings import ConnectionSettings
from hub.settings.loading import Settings, connector_folders, default_path, load_settings
from hub.settings.policies import resolve_policies
from hub.settings.settings_schema import json_schema
from hub.settings.shape import Limits, Schedules, Web

__all__ = [
    "ConnectionSettings",
    "Limits",
    "Schedules",
    "Settings",
    "Web",
    "connector_folders",
    "default_path",
    "json_schema",
    "load_settings",
    "resolve_policies",
]
