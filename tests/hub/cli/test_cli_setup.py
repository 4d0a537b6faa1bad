"""Setting up: init, check, config, connectors, twin, version; and how errors look from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from hub.cli import exit_codes, init
from hub.cli.app import build
from hub.settings import load_settings

Shell = Callable[..., CompletedProcess[str]]

SYSTEMS = ("--system", "crm=memory", "--system", "erp=memory")


@pytest.fixture(autouse=True)
def _no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TULAY_CONFIG", "TULAY_DATABASE", "TULAY_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def test_init_writes_a_file_that_loads(tmp_path: Path) -> None:
    config = tmp_path / "tulay.yaml"
    words = ["init", *SYSTEMS, "--set", "crm.password=${CRM_PW}", "--set", "erp.page=50", "--yes"]
    result = CliRunner().invoke(build(), [*words, "--json", "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"written": str(config), "environment": ["CRM_PW"]}
    settings = load_settings(config, environ={"CRM_PW": "x"})
    assert settings.connections["crm"].revealed()["password"] == "x"
    assert settings.connections["erp"].revealed()["page"] == 50
    assert settings.connections["erp"].role == "erp"


def test_init_explains_settings_it_leaves_out(tmp_path: Path) -> None:
    config = tmp_path / "tulay.yaml"
    CliRunner().invoke(build(), ["init", *SYSTEMS, "--yes", "--config", str(config)])
    text = config.read_text(encoding="utf-8")
    assert (
        "    # What the system asks of its clients.\n    # password: ${MEMORY_PASSWORD}\n" in text
    )
    assert "    # page: 100\n" in text
    assert "\n# policies:\n" in text


def test_what_init_comments_out_is_valid(tmp_path: Path) -> None:
    """What `init` has commented out is valid once the comment sign is removed."""
    config = tmp_path / "tulay.yaml"
    CliRunner().invoke(build(), ["init", *SYSTEMS, "--yes", "--config", str(config)])
    head, _, tail = config.read_text(encoding="utf-8").partition("# Who may set what")
    blocks = [
        line.removeprefix("# ")
        for line in tail.splitlines()
        if line.startswith(("# policies", "# flows", "# schedules", "# limits", "# web", "#  "))
    ]
    config.write_text(head + "\n".join(blocks), encoding="utf-8")
    settings = load_settings(config, environ={})
    assert settings.policies["company"].create == ["crm", "erp"]
    assert settings.web.public_url == "https://tulay.example.com"


def test_init_asks_for_what_is_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "interactive", lambda: True)
    config = tmp_path / "tulay.yaml"
    answers = "\n".join(["memory", "memory", "${MY_PW}", "", "", ""]) + "\n"
    result = CliRunner().invoke(build(), ["init", "--config", str(config)], input=answers)
    assert result.exit_code == 0, result.output
    assert "Which system is the CRM" in result.output
    assert "Set MY_PW in the environment" in result.output
    written = yaml.safe_load(config.read_text(encoding="utf-8"))["connections"]
    assert written["crm"] == {"system": "memory", "password": "${MY_PW}"}
    assert written["erp"] == {"system": "memory"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--system", "crm=memry"], "did you mean memory?"),
        (["--yes"], "add --system crm=hubspot"),
        (["--system", "crm"], "is not of the form --system crm=hubspot"),
        ([*SYSTEMS, "--set", "crm.pasword=${X}", "--yes"], "did you mean crm.password?"),
        ([*SYSTEMS, "--set", "crm.password=top-secret", "--yes"], "crm.password is a secret"),
    ],
)
def test_init_refuses_with_a_way_out(tmp_path: Path, words: list[str], message: str) -> None:
    config = tmp_path / "tulay.yaml"
    result = CliRunner().invoke(build(), ["init", *words, "--config", str(config)])
    assert result.exit_code == exit_codes.USAGE
    assert message in result.stderr
    assert "top-secret" not in result.output
    assert not config.exists()


def test_init_suggests_real_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "interactive", lambda: True)
    config = tmp_path / "tulay.yaml"
    answers = "\n".join(["", "", *["x"] * 40])
    output = CliRunner().invoke(build(), ["init", "--config", str(config)], input=answers).output
    assert "Which system is the CRM (hubspot, memory) [hubspot]" in output
    assert "Which system is the ERP (tryton, memory) [tryton]" in output


def test_init_never_waits_without_a_terminal(office: Any, shell: Shell, tmp_path: Path) -> None:
    config = tmp_path / "new.yaml"
    done = shell("init", "--config", str(config), cwd=office.folder)
    assert done.returncode == exit_codes.USAGE
    assert "add --system crm=hubspot --system erp=tryton" in " ".join(done.stderr.split())
    named = shell("init", *SYSTEMS, "--config", str(config), cwd=office.folder)
    assert named.returncode == 0, named.stderr
    assert load_settings(config, environ={}).connections["erp"].system == "memory"


def test_init_never_overwrites(office: Any) -> None:
    before = office.config.read_text(encoding="utf-8")
    assert "is not overwritten" in office.run("init", *SYSTEMS, "--yes", code=2).stderr
    assert office.config.read_text(encoding="utf-8") == before


def test_check_finds_and_prepares_what_is_missing(office: Any) -> None:
    for system in (office.crm, office.erp):
        system.create("companies", name="ACME", domain="acme.example", phone="1")
    found = office.json("check")
    warned = [line for line in found if line["level"] == "warning"]
    assert [line["connection"] for line in warned] == ["crm", "erp"]
    assert warned[0]["what"] == "companies lacks industry"
    lines = office.lines("check")
    assert lines[-1].startswith("2 warnings, ")
    assert lines[-1].endswith(". Next: tulay check --prepare")
    prepared = office.json("check", "--prepare")
    assert {line["level"] for line in prepared} == {"ok"}
    assert "companies: created the field industry" in {line["what"] for line in prepared}
    assert {line["level"] for line in office.json("check")} == {"ok"}
    assert office.lines("check")[-1] == "6 ok. Next: tulay sync --once"


def test_only_fields_with_a_source_are_created(office: Any) -> None:
    text = office.config.read_text(encoding="utf-8")
    erp = f"  erp:\n    system: memory\n    path: {office.folder}/erp.db\n"
    assert erp in text
    office.config.write_text(text.replace(erp, ""), encoding="utf-8")
    path = office.folder / "maps" / "memory" / "company.yaml"
    figure = "  figures.currency: {field: money, mode: write, custom: true}\n"
    path.write_text(path.read_text(encoding="utf-8") + figure, encoding="utf-8")
    office.crm.create("companies", name="ACME", domain="acme.example", phone="1")
    created = {line["what"] for line in office.json("check", "--prepare")}
    # No other system has an industry; the currency is filled by a flow.
    assert "companies: created the field money" in created
    assert "companies: created the field industry" not in created
    assert {line["level"] for line in office.json("check")} == {"ok"}


def test_check_names_the_line_of_a_mapping_error(office: Any) -> None:
    shape = {"name": "text", "domain": "text", "phone": "text", "industry": "text"}
    office.crm.declare("companies", fields=shape, closed=True)
    office.erp.declare("companies", fields={**shape, "phone_number": "text"}, closed=True)
    path = office.folder / "maps" / "memory" / "company.yaml"
    path.write_text(path.read_text().replace("phone: phone", "phone: phone_number"))
    found = office.json("check", code=1)
    (error,) = [line for line in found if line["level"] == "error"]
    assert error["connection"] == "crm"
    assert "'phone_number', which is mapped in " in error["what"]
    assert "company.yaml:7" in error["what"]
    assert error["todo"]
    office.lines("check", "erp")


def test_check_says_when_credentials_are_wrong(office: Any) -> None:
    office.crm.password = "another one"
    lines = office.lines("check", code=1)
    assert any("refused the password" in line for line in lines)
    assert [line["level"] for line in office.json("check", "crm", code=1)] == ["error"]


def test_check_warns_of_unfilled_required_fields(office: Any) -> None:
    fields = {"name": "text", "domain": "text", "phone": "text", "industry": "text", "vat": "text"}
    office.erp.declare("companies", fields=fields, required=("vat",))
    found = office.json("check", "erp")
    assert any(line["what"].startswith("companies requires vat") for line in found)


def test_config_shows_no_secret(office: Any) -> None:
    found = office.json("config", "show")
    assert found["connections"]["crm"]["password"] == "${CRM_PASSWORD}"
    assert found["connections"]["crm"]["page"] == 100
    text = office.run("config", "show").stdout
    assert yaml.safe_load(text)["connections"] == found["connections"]


def test_config_hides_the_databases_password(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TULAY_DATABASE", "postgresql://me:top-secret@db.example/tulay")
    result = office.run("config", "show")
    assert "postgresql://me:***@db.example/tulay" in result.stdout
    assert "top-secret" not in result.output


def test_config_shows_the_policies_that_hold(office: Any) -> None:
    found = office.json("config", "policies", "company")
    assert found["company"]["create"] == ["crm", "erp"]
    assert found["company"]["default"]["on_first_match"] == "ask"
    assert found["company"]["fields"]["figures"]["owner"] == []
    assert yaml.safe_load(office.run("config", "policies").stdout)["payment"]["create"] == []
    assert "did you mean company?" in office.run("config", "policies", "compny", code=2).stderr


def test_config_schema_is_json(office: Any) -> None:
    schema = json.loads(office.run("config", "schema").stdout)
    assert "policies" in schema["properties"]


def test_reconcile_agrees_after_a_round(agreed: Any) -> None:
    assert agreed.json("reconcile")["matched"] == 1
    assert agreed.lines("reconcile") == [
        "ENTITY   MATCHED  DIFFERENT  MISSING  HELD  ONE SIDE ONLY",
        "company  1        0          0        0     0",
    ]


def test_reconcile_lists_each_difference(agreed: Any) -> None:
    agreed.erp.edit("companies", "1", name="Acme AG")
    agreed.crm.create("companies", name="Globex")
    found = agreed.json("reconcile", "company", code=1)
    assert [(d["path"], d["shown"], d["golden"]) for d in found["different"]] == [
        ("name", "Acme AG", "ACME")
    ]
    assert [m["connection"] for m in found["missing"]] == ["hub"]
    lines = agreed.lines("reconcile", code=1)
    assert lines[1].split() == ["company", "0", "1", "1", "0", "0"]
    assert any(line.startswith("different: company ACME (erp 1): name is") for line in lines)
    assert any(line.startswith("missing: company") for line in lines)
    assert agreed.run("reconcile", "nothing", code=2).stderr.startswith("error: there is no entity")


def test_connectors_are_listed(office: Any) -> None:
    found = office.json("connectors", "list")
    systems = {row["system"]: row for row in found["connectors"]}
    assert systems["memory"]["role"] == "both"
    assert "companies" in systems["memory"]["streams"]
    office.lines("connectors", "list")


def test_a_new_connector_is_found_at_once(office: Any) -> None:
    office.run("connectors", "new", "shop", "--in", str(office.folder / "mine"))
    text = office.config.read_text(encoding="utf-8")
    office.config.write_text(f"connectors: [mine]\n{text}", encoding="utf-8")
    systems = [row["system"] for row in office.json("connectors", "list")["connectors"]]
    assert "shop" in systems
    again = office.run("connectors", "new", "shop", "--in", str(office.folder / "mine"), code=2)
    assert "exists" in again.stderr
    assert "cannot be a connector" in office.run("connectors", "new", "My Shop", code=2).stderr


def test_a_twin_must_exist(office: Any) -> None:
    assert "memory has no twin" in office.run("twin", "memory", code=2).stderr
    assert "did you mean memory?" in office.run("twin", "memry", code=2).stderr


def test_faults_of_a_twin_must_exist(office: Any) -> None:
    run = office.run
    assert "--faults: there is no fault 'los'; did you mean lost?" in (
        run("twin", "hubspot", "--faults", "los", code=2).stderr
    )
    assert "cannot be cursor" in run("twin", "hubspot", "--faults", "cursor", code=2).stderr
    assert "tryton has no faults" in run("twin", "tryton", "--faults", "lost", code=2).stderr
    old = run("twin", "hubspot", "--vices", "los", code=2).stderr
    assert "--vices is called --faults now" in old
    assert "no fault 'los'" in old


def test_a_settings_error_ends_with_2(office: Any) -> None:
    """An error in the settings file ends with exit code 2 and names the line."""
    text = office.config.read_text(encoding="utf-8").replace("policies:", "polices:")
    office.config.write_text(text, encoding="utf-8")
    for words in (["status"], ["sync", "--once"], ["check"], ["config", "show"], ["letters"]):
        result = office.run(*words, code=2)
        assert "tulay.yaml:10: unknown setting 'polices'; did you mean policies?" in result.stderr
        assert result.stdout == ""


def test_a_mapping_error_ends_with_2(office: Any) -> None:
    """An error in a mapping file ends with exit code 2 and names the line."""
    path = office.folder / "maps" / "memory" / "company.yaml"
    path.write_text(path.read_text().replace("  phone: phone", "  fone: phone"))
    result = office.run("status", code=2)
    assert "company.yaml:7: " in result.stderr
    assert "did you mean phone?" in result.stderr


def test_an_unreachable_database_ends_with_5(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TULAY_DATABASE", "postgresql://me:top-secret@127.0.0.1:1/tulay")
    result = office.run("status", code=exit_codes.DATABASE)
    assert result.stderr.startswith("error: the database ")
    assert "top-secret" not in result.output


def test_a_bug_of_ours_says_only_where(office: Any) -> None:
    app = build()

    @app.command()
    def break_down(ctx: typer.Context) -> None:
        raise KeyError("customer data")

    result = CliRunner().invoke(app, ["break-down"])
    assert result.exit_code == exit_codes.BUG
    assert "this is an error in Tulay: KeyError in " in result.stderr
    assert "customer data" not in result.output


@pytest.mark.process
def test_in_a_pipe_everything_is_plain(office: Any, shell: Shell) -> None:
    text = office.config.read_text(encoding="utf-8")
    office.config.write_text(text.replace("    password: ${CRM_PASSWORD}\n", ""), encoding="utf-8")
    office.crm.create("companies", name="ACME", domain="acme.example")
    for words in (
        "sync --once",
        "status",
        "links",
        "explain company ACME",
        "--help",
        "links --help",
    ):
        done = shell(*words.split(), cwd=office.folder)
        assert done.returncode == 0, done.stderr
        assert max(len(line) for line in done.stdout.splitlines()) <= 80
        assert not set("\x1b\t│─╭") & set(done.stdout)


@pytest.mark.process
def test_errors_go_to_stderr_without_a_traceback(office: Any, shell: Shell) -> None:
    done = shell("status", cwd=office.folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "environment variable CRM_PASSWORD is not set" in done.stderr
    assert "Traceback" not in done.stderr
    loud = shell("status", "--debug", cwd=office.folder)
    assert "Traceback" in loud.stderr
    wrong = shell("sync", "--once", cwd=office.folder, CRM_PASSWORD="wrong-secret")
    assert wrong.returncode == exit_codes.CONNECTION
    assert "wrong-secret" not in wrong.stdout + wrong.stderr


def test_an_unknown_command_names_the_nearest(office: Any, shell: Shell) -> None:
    done = shell("stauts", cwd=office.folder)
    assert done.returncode == exit_codes.USAGE
    assert "status" in done.stderr


def test_the_version_is_printed(office: Any) -> None:
    assert office.json("version")["tulay"]
    assert CliRunner().invoke(build(), ["--version"]).stdout.startswith("tulay ")


def test_exit_codes_are_documented_as_they_are(office: Any) -> None:
    """The exit codes in the help and in the README are those of the code."""
    text = " ".join(CliRunner().invoke(build(), ["--help"]).stdout.split())
    readme = (Path(exit_codes.__file__).parent / "README.md").read_text(encoding="utf-8")
    for code, words in exit_codes.CODES.items():
        assert f"{code} {words}" in text
        assert f"| {code} | {words} |" in readme


def test_every_command_takes_the_global_options(office: Any) -> None:
    def walk(app: typer.Typer, *path: str) -> list[tuple[str, ...]]:
        found = [(*path, c.name or c.callback.__name__) for c in app.registered_commands]
        for part in app.registered_groups:
            found += walk(part.typer_instance, *path, part.name)
        return found

    for command in walk(build()):
        text = CliRunner().invoke(build(), [*command, "--help"]).stdout
        for option in ("--config", "--json", "--quiet", "--debug"):
            assert option in text, command


def test_a_fresh_key_is_printed_each_time() -> None:
    keys = {CliRunner().invoke(build(), ["config", "key"]).stdout.strip() for _ in range(2)}
    assert len(keys) == 2
    assert all(len(key) == 44 for key in keys)
