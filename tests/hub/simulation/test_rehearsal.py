"""A short day with every fault keeps every promise and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from typer.testing import CliRunner

from hub.cli.app import build
from hub.errors import SettingsError
from hub.simulation.certificate import PROMISES
from hub.simulation.faults import ALL, KINDS, TOGETHER, WEBHOOKS, chosen
from hub.simulation.in_process import certified, struck
from hub.simulation.perform import SimulationResult, SimulationSpec
from hub.simulation.report import page
from hub.simulation.rest import left_over
from hub.simulation.stage import Setup
from hub.store.scratch import scratch_database
from tests.hub.simulation.relay import Relay

#: Chances with which a single fault strikes soon; 0.5 for all others.
OFTEN = {"refused": 0.1, "surprise": 1.0, "kill": 0.3, **dict.fromkeys(WEBHOOKS, 1.0)}
#: Faults that a system always has, and the one that needs a lower change limit.
FOR_LIFE = ("ties", "skew", "shortened", "shouted", "rounded", "surprise")
#: The others in turn. What was refused waits to the end: that one comes last.
IN_TURN = {
    "calls": ("throttled", "abrupt", "quota", "down", "lost", "timeout", "reset", "slow"),
    "answers": ("truncated", "html", "partial", "lag", "moving", "vanishing", "cursor"),
    "people": (*WEBHOOKS, "stale", "kill", "merged", "refused"),
}


def often(fault: str) -> str:
    """The value of `--faults` with which it strikes soon."""
    return fault if KINDS[fault].steady else f"{fault}:{OFTEN.get(fault, 0.5)}"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_faults_together_break_no_promise(
    seed: int, rehearse: Callable[..., SimulationResult]
) -> None:
    done = rehearse(seed, 300)
    assert [finding.what for finding in done.check_result.findings] == []
    assert sum(done.check_result.fates.values()) >= 300
    assert done.play.struck["kill"] > 0


@pytest.mark.parametrize("fault", FOR_LIFE)
def test_a_vice_for_life_alone_breaks_no_promise(
    fault: str, rehearse: Callable[..., SimulationResult]
) -> None:
    done = rehearse(1, 40, often(fault), records=6 if fault == "surprise" else None)
    assert [finding.what for finding in done.check_result.findings] == []
    assert set(struck(done.play)) == {fault}


@pytest.mark.parametrize("group", IN_TURN)
def test_each_fault_alone_breaks_no_promise(group: str, relay: Relay) -> None:
    for fault in IN_TURN[group]:
        shift = relay.shift(fault, chosen(often(fault))[fault])
        assert [finding.what for finding in shift.check_result.findings] == [], fault
        assert set(shift.struck) == {fault}
    if "refused" in IN_TURN[group]:
        assert shift.check_result.fates["d"] > 0  # a person must act
        assert any("held" in why for why in left_over(relay.play))


def test_every_fault_is_simulated() -> None:
    turns = [*FOR_LIFE, *(fault for group in IN_TURN.values() for fault in group)]
    assert sorted(turns) == sorted(set(ALL) - TOGETHER)


def test_an_impossible_fault_is_refused() -> None:
    with pytest.raises(SettingsError, match="--faults: an emulator cannot be token"):
        chosen("all,token")


def test_the_same_seed_gives_the_same_figures(
    setup: Setup, rehearse: Callable[..., SimulationResult]
) -> None:
    order = SimulationSpec(setup, 4, 60, chosen("all"), "all")
    first, second = (
        certified(order, done.play, done, database="SQLite").document()
        for done in (rehearse(4, 60), rehearse(4, 60))
    )
    assert first | {"seconds": 0} == second | {"seconds": 0}


def test_the_command_prints_json_and_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = "rehearse --seed 5 --changes 40 --faults lost,kill --json --html report.html".split()
    with pytest.raises(SystemExit) as ended:
        build()(words, prog_name="tulay")
    assert ended.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert document["changes"] >= 40
    fates = ("propagated", "superseded", "conflicts", "waiting", "overwritten", "lost")
    assert sum(document[name] for name in fates) == document["changes"]
    assert (document["lost"], document["duplicates"], document["echo_writes"]) == (0, 0, 0)
    assert (document["seed"], document["quiet"]) == (5, True)
    assert set(document["latency"]) == {"p50", "p95", "p99"}
    # Whatever went wrong that day, no change exceeded the limit.
    assert document["promises"] == dict.fromkeys(PROMISES, "kept") | {"P9": "not tried"}
    assert document["api_calls"] == sum(document["calls"].values()) > 0
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html"]


def test_a_broken_promise_ends_with_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hub.simulation import in_process
    from hub.sync.changeset import ChangeSet

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(in_process, "SHRINKING", 0.0)
    monkeypatch.setattr(ChangeSet, "conflicts_found", lambda *_args: None)
    with pytest.raises(SystemExit) as ended:
        build()("rehearse --seed 1 --changes 60 --faults none".split(), prog_name="tulay")
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "broken" in said
    assert "the shortest history that shows it:" in said


def test_values_are_escaped_in_the_report(
    setup: Setup, rehearse: Callable[..., SimulationResult]
) -> None:
    done = rehearse(6, 20, "none")
    certificate = certified(SimulationSpec(setup, 6, 20, {}), done.play, done, database="SQLite")
    evil = "<script>alert('x')</script>"
    shown = page(replace(certificate, broken={"P1": [evil]}, story=[evil], command=evil))
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


@pytest.mark.parametrize("option", ["--faults", "--vices"])
def test_the_old_option_works_and_names_the_new(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["rehearse", "--changes", "1", option, "lots"]
    done = CliRunner().invoke(build(), words)
    assert done.exit_code == 2
    assert "--faults: there is no fault 'lots'; did you mean lost?" in done.stderr
    assert ("--vices is called --faults now" in done.stderr) == (option == "--vices")


def test_an_unknown_vice_is_refused() -> None:
    with pytest.raises(SettingsError, match="did you mean lost"):
        chosen("lots")
    assert tuple(chosen("all")) == ALL


def test_the_given_database_is_not_touched(postgresql_url: str, tmp_path: Path) -> None:
    def look() -> tuple[set[str], int]:
        engine = create_engine(make_url(postgresql_url).set(drivername="postgresql+psycopg"))
        with engine.connect() as tx:
            names = set(tx.execute(text("SELECT datname FROM pg_database")).scalars())
            query = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            tables = tx.execute(text(query)).scalar_one()
        engine.dispose()
        return {name for name in names if name.startswith("tulay_rehearsal_")}, int(tables)

    before, none = look()
    given = make_url(postgresql_url).database
    made: list[str | None] = []

    def fail() -> None:
        with scratch_database(postgresql_url, tmp_path) as url:
            made.append(make_url(url).database)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    (name,) = made
    assert name not in {given, *before}
    assert name not in look()[0]
    assert none == 0
