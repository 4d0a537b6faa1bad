"""`tulay connectors` helps people who have nothing running yet."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.kit import scaffold


def test_connectors_are_listed_without_secrets(
    office: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaffold.new("shelf", office.folder / "mine")
    text = office.config.read_text(encoding="utf-8")
    office.config.write_text(f"connectors: [mine]\n{text}", encoding="utf-8")
    monkeypatch.delenv("CRM_PASSWORD")
    listed = office.json("connectors", "list")
    assert listed["problems"] == []
    assert {"shelf", "hubspot", "tryton", "memory"} <= {
        row["system"] for row in listed["connectors"]
    }
    assert "CRM_PASSWORD" in office.run("sync", "--once", code=2).output


def test_a_named_file_must_exist(office: Any) -> None:
    office.config.unlink()
    assert "no such file" in office.run("connectors", "list", code=2).output.lower()


def test_a_new_connector_says_how_to_use_it(office: Any) -> None:
    output = office.run("connectors", "new", "shelf", "--in", str(office.folder)).output
    said = "".join(output.split())
    assert f"connectors:[{office.folder}],mappings:[{office.folder}]" in said
    assert (office.folder / "shelf" / "customers.yaml").is_file()


def test_a_third_party_bug_is_reported_as_such(office: Any) -> None:
    """A bug in a connector of a third party is reported as such."""
    scaffold.new("attic", office.folder)
    file = office.folder / "attic" / "connector.py"
    code = file.read_text(encoding="utf-8")
    broken = code.replace("        while True:\n", "        while {}[stream]:\n", 1)
    assert broken != code
    file.write_text(broken, encoding="utf-8")
    office.config.write_text(
        """
connectors: [.]
mappings: [.]
connections:
  erp: {system: attic, base_url: "http://127.0.0.1:9", token: "${CRM_PASSWORD}"}
""",
        encoding="utf-8",
    )
    line = broken[: broken.index("{}[stream]")].count("\n") + 1
    output = " ".join(office.run("sync", "--once", code=70).output.split())
    assert f"in a connector of yours: KeyError in attic/connector.py:{line};" in output
