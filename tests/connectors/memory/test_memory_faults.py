"""The memory system injects exactly the requested faults, and shows what really happened."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.kit.contract import Create, Outcome, Write
from connectors.kit.errors import ContractError, RateLimitedError, UnavailableError
from connectors.memory import MemoryConnector, MemorySystem
from connectors.memory.webhooks import delivery

ROOT = Path(__file__).parents[3]


@pytest.fixture
def crm() -> MemorySystem:
    return MemorySystem("crm")


@pytest.fixture
def connector(crm: MemorySystem) -> MemoryConnector:
    return MemoryConnector.of(crm, page=2, webhook_secret="hush")


def creates(count: int) -> list[Write]:
    return [Create(f"o{n}", {"name": str(n)}) for n in range(count)]


def test_nothing_happens_before_the_commit(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.inject_faults(script=("before",))
    with pytest.raises(UnavailableError):
        connector.write("companies", creates(2))
    assert crm.records("companies") == {}
    assert crm.writes == []
    assert len(connector.write("companies", creates(2))) == 2


def test_a_lost_answer_hides_what_happened(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.inject_faults(script=("lost",))
    with pytest.raises(UnavailableError):
        connector.write("companies", creates(2))
    assert len(crm.records("companies")) == 2
    assert set(connector.find("companies", ["o0", "o1"])) == {"o0", "o1"}


def test_a_broken_line_leaves_the_first_part(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.inject_faults(script=("partial",), seed=1)
    with pytest.raises(UnavailableError):
        connector.write("companies", creates(10))
    done = [record["name"] for record in crm.records("companies").values()]
    assert done == [str(n) for n in range(len(done))]
    assert 0 < len(done) < 10


def test_one_lost_row_was_written_all_the_same(
    crm: MemorySystem, connector: MemoryConnector
) -> None:
    crm.inject_faults(script=("row_lost",))
    outcomes = connector.write("companies", creates(4))
    lost = [outcome for outcome in outcomes if outcome.error]
    assert [type(outcome.error) for outcome in lost] == [UnavailableError]
    assert len(crm.records("companies")) == 4


def test_a_rate_limit_says_how_long(crm: MemorySystem, connector: MemoryConnector) -> None:
    """A rate limit says how long to wait, and the call has not happened."""
    crm.inject_faults(script=("rate", "rate"), retry_after=7)
    with pytest.raises(RateLimitedError) as caught:
        connector.write("companies", creates(1))
    assert caught.value.retry_after == timedelta(seconds=7)
    with pytest.raises(RateLimitedError):
        connector.fetch("companies", ["1"])
    assert crm.records("companies") == {}


def test_a_script_waits_for_the_call_it_fits(crm: MemorySystem, connector: MemoryConnector) -> None:
    crm.inject_faults(script=("lost", "find"))
    connector.fetch("companies", ["1"])
    with pytest.raises(UnavailableError):
        connector.write("companies", creates(1))
    list(connector.pages("companies", None))
    with pytest.raises(UnavailableError):
        connector.find("companies", ["o0"])
    assert set(connector.find("companies", ["o0"])) == {"o0"}


def test_a_sweep_that_breaks_off_raises(crm: MemorySystem, connector: MemoryConnector) -> None:
    connector.write("companies", creates(5))
    sweep = connector.keys("companies")
    assert len(next(sweep)) == 2
    crm.inject_faults(down=True)
    with pytest.raises(UnavailableError):
        next(sweep)


def test_chances_come_from_the_seed() -> None:
    def story(seed: int) -> list[str]:
        system = MemorySystem("crm")
        system.inject_faults(before=0.3, lost=0.3, seed=seed)
        connector = MemoryConnector.of(system)
        outcomes = []
        for number in range(30):
            try:
                connector.write("companies", [Create(f"o{number}", {})])
                outcomes.append("written")
            except UnavailableError:
                outcomes.append("unknown")
        return [*outcomes, *system.records("companies")]

    assert story(1) == story(1)
    assert story(1) != story(2)
    assert {"written", "unknown"} <= set(story(1))


def test_hooks_run_before_and_after_a_write(crm: MemorySystem, connector: MemoryConnector) -> None:
    counts: list[int] = []
    crm.hooks.before_write.append(lambda stream: counts.append(len(crm.records(stream))))
    crm.hooks.after_write.append(lambda stream: counts.append(len(crm.records(stream))))
    connector.write("companies", creates(3))
    assert counts == [0, 3]


def test_an_interrupted_commit_loses_nothing(crm: MemorySystem, connector: MemoryConnector) -> None:
    def killed(stream: str) -> None:
        raise KeyboardInterrupt

    crm.hooks.after_write.append(killed)
    with pytest.raises(KeyboardInterrupt):
        connector.write("companies", creates(2))
    assert len(crm.records("companies")) == 2


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    """Another process shares the file, and killing it loses nothing."""
    path = str(tmp_path / "far.db")
    here = MemorySystem("far", path=path)
    here.declare("companies", ways={"name": "upper"})
    here.inject_faults(slow=60)
    code = (
        "import sys; from connectors.kit.contract import Create;"
        "from connectors.memory import MemoryConnector;"
        "connector = MemoryConnector({'path': sys.argv[1]});"
        "connector.system.hooks.after_write.append(lambda _: print('written', flush=True));"
        "connector.write('companies', [Create('o1', {'name': 'Acme'})])"
    )
    command = [sys.executable, "-c", code, path]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.kill()
    here.inject_faults()
    assert list(here.records("companies").values()) == [{"name": "ACME"}]
    assert MemoryConnector.of(here).find("companies", ["o1"])["o1"].payload == {"name": "ACME"}
    again: list[Outcome] = list(MemoryConnector.of(here).write("companies", creates(1)))
    assert again[0].key == "2"


def test_a_delivery_is_signed_and_read(connector: MemoryConnector) -> None:
    now = datetime.now(UTC)
    request = delivery([("companies", "1"), ("orders", "2")], secret="hush", at=now)
    assert connector.verify(request)
    assert [(n.stream, n.key) for n in connector.notifications(request.body)] == [
        ("companies", "1"),
        ("orders", "2"),
    ]
    assert len({n.event_id for n in connector.notifications(request.body)}) == 2
    assert not connector.verify(delivery([("companies", "1")], secret="other", at=now))


def test_without_a_secret_no_delivery_is_genuine(crm: MemorySystem) -> None:
    request = delivery([("companies", "1")], secret="", at=datetime.now(UTC))
    assert not MemoryConnector.of(crm).verify(request)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"events": [{}]}', b'{"events": 1}', b"\xff"])
def test_gibberish_is_not_a_delivery(connector: MemoryConnector, body: bytes) -> None:
    with pytest.raises(ContractError):
        connector.notifications(body)
