"""Old keys of files work for one release: each with one hint that names its line."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from hub.settings.loading import load_settings
from hub.settings.policies import SHIPPED, resolve_policies
from hub.settings.renamed_keys import RENAMES as OF_SETTINGS
from mappings.kit import files, renames
from mappings.kit.errors import MappingFileError
from mappings.kit.file_schema import RENAMES as OF_MAPPINGS
from mappings.kit.loader import load
from mappings.kit.renames import Rename, renewed
from mappings.kit.source import read_source

OLD = """\
connections:
  crm: {system: memory, budget: {bulk: 0.5}}
  erp: {system: memory}
policies:
  company:
    adopt: [erp]
    default: {both: latest, first: erp, blank: write}
    fields:
      phone: {both: crm}
limits: {within: 30m, busy: 0.3, flips: 7}
"""
NEW = """\
connections:
  crm: {system: memory, budget: {bulk_share: 0.5}}
  erp: {system: memory}
policies:
  company:
    import: [erp]
    default: {on_conflict: latest, on_first_match: erp, when_blank: write}
    fields:
      phone: {on_conflict: crm}
limits: {window: 30m, window_share: 0.3, reversals: 7}
"""
MAPPING = """\
entity: activity
stream: tasks
{imports}: false
constants: {{kind: task}}
{defaults}: {{type: TODO}}
fields: {{subject: subject}}
"""


@pytest.fixture(autouse=True)
def _no_hint_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renames, "_hinted", set())


def test_old_settings_mean_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = []
    for name, text in (("old.yaml", OLD), ("new.yaml", NEW)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        settings = load_settings(tmp_path / name, environ={})
        policies = resolve_policies(settings.policies, settings.connections)
        budget = settings.connections["crm"].budget
        found.append((policies, settings.limits, budget))
    assert found[0] == found[1]
    assert found[0][1].reversals == 7
    old = tmp_path / "old.yaml"
    hints = [record.getMessage() for record in caplog.records]
    assert len(hints) == 9
    assert (
        f"{old}:6: 'adopt' is called 'import' now; the old word works until the next release"
        in (hints)
    )
    assert any(hint.startswith(f"{old}:9: 'both' is called 'on_conflict' now") for hint in hints)
    assert all(hint.startswith(str(old)) for hint in hints)


def test_a_hint_is_given_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "tulay.yaml").write_text(OLD, encoding="utf-8")
    for _ in range(3):
        load_settings(tmp_path / "tulay.yaml", environ={})
    hints = [record.getMessage() for record in caplog.records]
    assert len(hints) == len(set(hints)) == 9
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_old_mapping_keys_mean_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = []
    for imports, defaults in (("adopt", "preset"), ("import", "defaults")):
        path = tmp_path / imports / "shelf" / "tasks.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(MAPPING.format(imports=imports, defaults=defaults), encoding="utf-8")
        (mapping,) = load("shelf", extra=[tmp_path / imports])
        found.append((mapping.fingerprint, mapping.write({"subject": "x"}, None)))
    assert found[0] == found[1]
    assert found[0][1] == {"type": "TODO", "subject": "x"}
    assert [record.getMessage().partition(" ")[2] for record in caplog.records] == [
        "'adopt' is called 'import' now; the old word works until the next release",
        "'preset' is called 'defaults' now; the old word works until the next release",
    ]


def test_both_keys_at_once_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("x: 1\nacts: {}\nactions: {}\n", encoding="utf-8")
    with pytest.raises(MappingFileError, match=r"a\.yaml:2: 'acts' is called 'actions' now, which"):
        renewed(read_source(path), OF_MAPPINGS)


def test_lines_are_found_under_the_new_word(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("acts:\n  won: win\n", encoding="utf-8")
    source = renewed(read_source(path), [Rename("acts", "actions")])
    assert source.content == {"actions": {"won": "win"}}
    assert source.line(("actions", "won")) == 2


def test_shipped_mappings_use_the_new_keys() -> None:
    shipped = [*files.OURS.glob("*/*.yaml")]
    assert len(shipped) > 10
    for path in shipped:
        source = read_source(path)
        assert not [one for r in OF_MAPPINGS for one in r.locations(source.content)], path
    policies = {"policies": read_source(SHIPPED).content}
    assert not [one for r in OF_SETTINGS for one in r.locations(policies)]
