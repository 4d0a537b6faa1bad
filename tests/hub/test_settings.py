"""tulay.yaml: what it may contain, and how every error in it is explained."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from hub.errors import SettingsError, UnknownError
from hub.model.change_limits import ChangeLimit
from hub.settings import Settings, json_schema, load_settings

SECRET = "pa55-w0rd-that-nobody-may-see"
GOOD = """\
database: sqlite:///data.db
connections:
  crm:
    system: memory
    path: crm.db
    password: ${CRM_PASSWORD}
  erp: {system: memory, page: 50}
policies:
  company:
    fields:
      phone: {on_conflict: latest}
schedules: {pull: 5m, streams: {crm.companies: 1h30m}}
limits: {share: 0.5, records: 10, window: 30m}
web: {port: 9000, public_url: "https://tulay.example.com"}
flows: {thank_you: false}
"""


def load(folder: Path, text: str, **environ: str) -> Settings:
    path = folder / "tulay.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ={"CRM_PASSWORD": SECRET, **environ})


@pytest.fixture(autouse=True)
def _no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TULAY_CONFIG", "TULAY_DATABASE", "TULAY_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    settings = load(tmp_path, GOOD)
    crm, erp = settings.connections["crm"], settings.connections["erp"]
    assert (crm.system, crm.role, erp.role) == ("memory", "crm", "erp")
    assert crm.revealed()["password"] == SECRET
    assert crm.revealed()["page"] == 100
    assert erp.revealed()["page"] == 50
    assert settings.database == f"sqlite:///{tmp_path / 'data.db'}"
    assert settings.schedules.pull_every("crm", "companies") == timedelta(minutes=90)
    assert settings.schedules.pull_every("crm", "deals") == timedelta(minutes=5)
    assert settings.limits.limit.records == 10
    assert settings.limits.limit.window == timedelta(minutes=30)
    assert settings.web.public_url == "https://tulay.example.com"
    assert not settings.flows.thank_you
    assert settings.flows.figures


def test_defaults_suffice(tmp_path: Path) -> None:
    settings = load(tmp_path, "connections: {crm: {system: memory}}\n")
    assert settings.database == f"sqlite:///{tmp_path / 'tulay.db'}"
    assert settings.redis_url is None
    assert settings.schedules.sweep == timedelta(hours=24)
    assert settings.limits.limit == ChangeLimit()
    assert settings.web.port == 8420


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    text = GOOD.replace("sqlite:///data.db", "postgresql://me:${CRM_PASSWORD}@db/tulay")
    settings = load(tmp_path, text + "redis_url: redis://:${CRM_PASSWORD}@redis/0\n")
    assert SECRET in settings.database
    assert settings.redis_url is not None
    assert SECRET in settings.redis_url.get_secret_value()
    shown = repr(settings) + str(settings) + repr(settings.connections)
    assert SECRET not in shown


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    text = GOOD.replace("${CRM_PASSWORD}", "${file:secret}")
    assert load(tmp_path, text).connections["crm"].revealed()["password"] == SECRET


def test_a_literal_secret_is_refused_unshown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tulay\.yaml:6: .*password is a secret") as caught:
        load(tmp_path, GOOD.replace("${CRM_PASSWORD}", SECRET))
    assert "${MEMORY_PASSWORD}" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_half_a_reference_is_a_literal_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a secret"):
        load(tmp_path, GOOD.replace("${CRM_PASSWORD}", "abc${CRM_PASSWORD}"))


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("database:", "databse:", 1, "unknown setting 'databse'; did you mean database?"),
        ("connections:", "conections:", 2, "'conections'; did you mean connections?"),
        ("limits: {share: 0.5", "limits: {shre: 0.5", 13, "'shre' in limits; did you mean share?"),
        ("share: 0.5", "share: 2", 13, "limits.share: "),
        ("window: 30m", "window: soon", 13, "limits.window: must be a duration"),
        ("records: 10", "records: many", 13, "limits.records: must be a whole number"),
        ("pull: 5m", "pull: soon", 12, "schedules.pull: must be a duration such as 60s"),
        ("crm.companies: 1h", "crm.company: 1h", 12, "did you mean crm.companies?"),
        ("    system: memory", "    system: memry", 4, "'memry'; did you mean memory?"),
        ("path: crm.db", "pth: crm.db", 5, "no setting 'pth'; did you mean path?"),
        ("page: 50", "page: fifty", 7, "'page' must be a whole number"),
        ("CRM_PASSWORD", "CRM_PASWORD", 6, "CRM_PASWORD is not set; did you mean CRM_PASSWORD?"),
        ("${CRM_PASSWORD}", "${file:nowhere}", 6, "nowhere cannot be read: No such file"),
        ("${CRM_PASSWORD}", "${CRM PASSWORD}", 6, "is not a reference; write ${NAME}"),
        ("  company:\n", "  compny:\n", 9, "no entity 'compny'; did you mean company?"),
        ("phone: {on_conflict", "fone: {on_conflict", 11, "no field 'fone'; did you mean phone?"),
        ("on_conflict: latest", "on_conflict: crn", 11, "no connection 'crn'; did you mean crm?"),
        ("on_conflict: latest", "owner: [crm, erb]", 11, "no connection 'erb'; did you mean erp?"),
        (
            "on_conflict: latest",
            "when_blank: drop",
            11,
            "when_blank: input should be 'keep' or 'write'",
        ),
        (
            "on_conflict: latest",
            "on_conflct: latest",
            11,
            "'on_conflct' in policies.company.fields.phone",
        ),
        ("  erp: {", "  ERP: {", 7, "'ERP' cannot be a connection's name"),
        ("  erp: {", "  person: {", 7, "'person' cannot be a connection's name"),
        ("  erp: {", "  crm: {", 7, "'crm' is given twice"),
        ("web: {port: 9000,", "web: [port: 9000,", 14, "broken YAML"),
        ("password: ${CRM", "password: {x: ${CRM", 6, "put it in quotes"),
        ("flows: {thank_you", "flows: {thank_u", 15, "did you mean thank_you?"),
        ("system: memory, page", "role: erp, page", 7, "connections.erp.system is missing"),
        ("database: sqlite", "mappings: [gone]\ndatabase: sqlite", 1, "there is no folder gone"),
    ],
)
def test_every_error_names_its_line_and_a_remedy(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    assert old in GOOD
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    message = str(caught.value)
    assert f"tulay.yaml:{line}: " in message
    assert words in message
    assert SECRET not in message


def test_a_missing_setting_is_asked_for_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "shop"
    folder.mkdir(parents=True)
    manifest = (
        "system: shop\ntitle: Shop\nrole: crm\nconnector: shop.connector:Shop\nstreams: {}\n"
        "settings: {token: {help: An API token., required: true, secret: true}}\n"
    )
    (folder / "manifest.yaml").write_text(manifest, encoding="utf-8")
    text = "connectors: [mine]\nconnections:\n  crm:\n    system: shop\n"
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert "tulay.yaml:3: connections.crm (shop) needs the setting 'token'" in str(caught.value)
    assert "add `token: ${SHOP_TOKEN}`" in str(caught.value)


def test_a_broken_connector_of_ones_own_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "shop"
    folder.mkdir(parents=True)
    (folder / "manifest.yaml").write_text("system: shop\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"also broken: .*manifest\.yaml: title"):
        load(tmp_path, "connectors: [mine]\nconnections: {crm: {system: shop}}\n")


def test_no_connections_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tulay\.yaml:1: connections is missing"):
        load(tmp_path, "web: {port: 1}\n")
    with pytest.raises(SettingsError, match="there is no connection; add one"):
        load(tmp_path, "connections: {}\n")
    with pytest.raises(SettingsError, match="connections is missing"):
        load(tmp_path, "")
    with pytest.raises(SettingsError, match="begin with `connections:`"):
        load(tmp_path, "- crm\n")


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="tulay init"):
        load_settings(tmp_path / "tulay.yaml")


def test_the_environment_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.yaml").write_text(GOOD, encoding="utf-8")
    monkeypatch.setenv("TULAY_CONFIG", str(tmp_path / "other.yaml"))
    monkeypatch.setenv("TULAY_DATABASE", "postgresql://me@db/tulay")
    monkeypatch.setenv("TULAY_REDIS_URL", "redis://redis/1")
    settings = load_settings(environ={"CRM_PASSWORD": SECRET})
    assert settings.path.name == "other.yaml"
    assert settings.database == "postgresql://me@db/tulay"
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://redis/1"


def test_an_unknown_connection_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownError, match="did you mean crm"):
        load(tmp_path, GOOD).connection("crn")


def test_roles_come_from_manifest_name_or_file(tmp_path: Path) -> None:
    text = (
        "connections: {crm: {system: memory}, b: {system: memory}, c: {system: memory, role: erp}}"
    )
    found = {name: one.role for name, one in load(tmp_path, text).connections.items()}
    assert found == {"crm": "crm", "b": "both", "c": "erp"}


def test_the_schema_has_every_systems_settings() -> None:
    schema = json_schema()
    systems = {
        part["if"]["properties"]["system"]["const"]: part["then"]
        for part in schema["$defs"]["ConnectionText"]["allOf"]
    }
    assert "memory" in systems
    assert systems["memory"]["properties"]["password"]["pattern"].startswith(r"^\s*\$")
    assert systems["memory"]["properties"]["page"]["default"] == 100
    assert systems["memory"]["additionalProperties"] is False
    assert set(json.loads(json.dumps(schema))["properties"]) >= {"database", "connections", "web"}


KEY, OLD_KEY = "k" * 43 + "=", "o" * 43 + "="


def test_token_keys_come_from_references_only(tmp_path: Path) -> None:
    one = load(tmp_path, GOOD + "secret_key: ${KEY}\n", KEY=KEY)
    assert [key.get_secret_value() for key in one.secret_keys] == [KEY]
    (tmp_path / "old.key").write_text(OLD_KEY + "\n")
    two = load(tmp_path, GOOD + 'secret_key: ["${KEY}", "${file:old.key}"]\n', KEY=KEY)
    assert [key.get_secret_value() for key in two.secret_keys] == [KEY, OLD_KEY]
    assert KEY not in repr(two)
    assert load(tmp_path, GOOD).secret_keys == ()


@pytest.mark.parametrize("written", [KEY, '["${KEY}", plain]', "key-${KEY}"])
def test_a_literal_key_is_refused_unshown(tmp_path: Path, written: str) -> None:
    with pytest.raises(SettingsError, match="secret_key is a secret") as raised:
        load(tmp_path, GOOD + f"secret_key: {written}\n", KEY=OLD_KEY)
    assert KEY not in str(raised.value)


def test_an_invalid_key_is_refused_unshown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tulay\.yaml:\d+: .*tulay config key") as raised:
        load(tmp_path, GOOD + "secret_key: ${KEY}\n", KEY=SECRET)
    assert SECRET not in str(raised.value)


def test_a_budget_sets_only_the_bulk_share(tmp_path: Path) -> None:
    settings = load(
        tmp_path, "connections: {crm: {system: memory, budget: {bulk_share: 0.5, daily: 100}}}\n"
    )
    budget = settings.connections["crm"].budget
    assert (budget.requests, budget.bulk_share, budget.daily) == (None, 0.5, 100)
    assert load(tmp_path, GOOD).connections["crm"].budget.bulk_share == 0.8
    with pytest.raises(SettingsError, match="budget"):
        load(tmp_path, "connections: {crm: {system: memory, budget: {bulk_share: 2}}}\n")
