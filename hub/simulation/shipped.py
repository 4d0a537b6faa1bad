"""The pair that is simulated without a tulay.yaml: one CRM and one ERP as shipped."""

from __future__ import annotations

from pathlib import Path

from hub.settings.loading import Settings, default_path, load_settings

#: Names of the shipped pair; their settings are never used, as no system is called.
_PAIR = """\
connections:
  crm: {system: hubspot, token: "${UNUSED}"}
  erp:
    system: tryton
    url: "${UNUSED}"
    database: "${UNUSED}"
    login: "${UNUSED}"
    password: "${UNUSED}"
"""


def settings_for(config: Path | None, folder: Path) -> tuple[Settings, bool]:
    """Returns the settings to simulate, and whether they are the user's own.

    Raises: SettingsError.
    """
    if config is not None or default_path().is_file():
        return load_settings(config, rehearsal=True), True
    path = folder / "tulay.yaml"
    path.write_text(_PAIR, encoding="utf-8")
    return load_settings(path, rehearsal=True), False
