"""`tulay rehearse` in one process: a scratch folder, the simulation, the certificate.

Opens nothing of the user's: no database, no Redis, no system.
"""

from __future__ import annotations

import shlex
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import takewhile
from pathlib import Path

from hub.settings.loading import Settings
from hub.simulation.certificate import Certificate
from hub.simulation.change_history import History, HistoryEvent, TypedValue
from hub.simulation.checker import CONFLICT, LOST, OVERWRITTEN, PROPAGATED, SUPERSEDED, WAITING
from hub.simulation.faults import TOGETHER
from hub.simulation.findings import Finding
from hub.simulation.perform import DAY, SimulationResult, SimulationSpec, day_of, perform, plan_of
from hub.simulation.play import Play
from hub.simulation.rest import SETTLING, left_over
from hub.simulation.scenes import Scene
from hub.simulation.shrink import about, scenes_of, script_of, shrunk
from hub.simulation.stage import Stage
from hub.store.engine import open_store
from hub.store.migrate import migrate
from hub.store.scratch import scratch_database
from hub.wiring import pace_of

#: Seconds that may be spent on shrinking a history.
SHRINKING = 90.0
#: Maximum number of beats of a history that is shrunk, and of lines of one that is printed.
_LONGEST, _LINES = 60_000, 120
_BARS = 48

Advance = Callable[[int], None]


def rehearse(
    spec: SimulationSpec,
    *,
    database: str | None,
    advance: Advance = lambda _count: None,
    shrinking: float | None = None,
) -> Certificate:
    """Runs a simulation and returns its certificate, with the shortest history if a promise is
    broken."""
    spec = spec.without(TOGETHER)
    with tempfile.TemporaryDirectory(prefix="tulay-rehearsal-") as name:
        folder = Path(name)
        with (
            scratch_database(database, folder) as url,
            closing(open_store(url)) as store,
            History(folder / "history") as history,
        ):
            migrate(store)
            done = perform(spec, store, folder, history=history, advance=advance)
            certificate = certified(spec, done.play, done, database=_kind(url))
            fallback = narration(done.play, done.check_result.findings)
    if not certificate.kept:
        shortest = shortest_story(spec, done, seconds=SHRINKING if shrinking is None else shrinking)
        certificate.story = shortest or fallback
    return certificate


def _kind(url: str) -> str:
    return "SQLite" if url.startswith("sqlite") else "PostgreSQL"


def certified(
    spec: SimulationSpec,
    play: Play,
    done: SimulationResult,
    *,
    database: str,
    queues: str = "no Redis",
) -> Certificate:
    """Returns the certificate of a simulation."""
    check_result, stage = done.check_result, play.stage
    fates = check_result.fates
    calls = {name: system.calls_of_all() for name, system in stage.company.systems.items()}
    broken: dict[str, list[str]] = {}
    for finding in check_result.findings:
        broken.setdefault(finding.promise, []).append(finding.what)
    over_time = play.history.fates.over_time(_BARS)
    length = play.length
    latency = play.watch.latency
    return Certificate(
        seed=spec.seed,
        faults=tuple(spec.faults),
        workers=1,
        database=database,
        queues=queues,
        changes=sum(fates.values()),
        propagated=fates.get(PROPAGATED, 0),
        superseded=fates.get(SUPERSEDED, 0),
        conflicts=fates.get(CONFLICT, 0),
        waiting=fates.get(WAITING, 0),
        overwritten=fates.get(OVERWRITTEN, 0),
        lost=fates.get(LOST, 0),
        duplicates=check_result.duplicates,
        echo_writes=play.echoes,
        quiet=not any(one.promise in ("P3", "P4") for one in check_result.findings),
        calls=calls,
        # With real processes a day takes minutes, but its calls are those of a whole day.
        quota=_quota(spec.setup.settings, calls, max(length, DAY)),
        latency={f"p{share}": latency.quantile(share / 100) for share in (50, 95, 99)},
        seconds=done.seconds,
        day=length,
        command=command_of(spec),
        broken=dict(sorted(broken.items(), key=lambda pair: int(pair[0][1:]))),
        struck=struck(play),
        verbs=play.history.fates.by_verb(),
        surprises=play.surprises,
        decisions=play.decisions,
        left=left_over(play),
        over_time=over_time,
        latencies=latency.bars(),
    )


def struck(play: Play) -> dict[str, int]:
    """Returns fault -> how often it struck, whether planned or injected by the systems
    themselves."""
    found = play.struck.copy()
    for system in play.stage.company.systems.values():
        found.update(system.fault_state.struck())
    return dict(found.most_common())


def command_of(spec: SimulationSpec) -> str:
    """Returns the command that repeats a simulation."""
    words = ["tulay", "rehearse"]
    path = spec.setup.settings.path
    if spec.given:
        words += ["--config", str(path)]
    words += ["--seed", str(spec.seed), "--changes", str(spec.changes)]
    words += ["--faults", spec.asked, *spec.options]
    return shlex.join(words)


def _quota(settings: Settings, calls: dict[str, int], length: float) -> dict[str, float]:
    shares = {}
    for name, one in settings.connections.items():
        limits = one.manifest.limits
        requests, per_seconds = pace_of(one)
        allowed = requests * max(length, 1.0) / per_seconds
        if limits is not None and limits.daily is not None:
            allowed = min(allowed, limits.daily * max(length / 86_400, 1.0))
        shares[name] = round(calls.get(name, 0) / allowed, 6)
    return shares


# --- what went wrong ---------------------------------------------------------------------------


def shortest_story(spec: SimulationSpec, done: SimulationResult, *, seconds: float) -> list[str]:
    """Returns the shortest history that breaks the same promise; empty if none was found."""
    until = time.monotonic() + seconds
    kinds = {finding.kind for finding in done.check_result.findings}
    subjects = [
        subject for finding in done.check_result.findings[:5] for subject in finding.subjects
    ]

    def play(scenes: Iterable[Scene], tell: Callable[[str], None] | None = None) -> list[Finding]:
        with tempfile.TemporaryDirectory(prefix="tulay-rehearsal-") as name:
            folder = Path(name)
            address = f"sqlite:///{folder / 'hub.db'}"
            with closing(open_store(address)) as store, History(folder / "history") as history:
                store.create()
                again = perform(
                    spec,
                    store,
                    folder,
                    history=history,
                    chosen=lambda _all: iter(scenes),
                    tell=tell,
                )
                return again.check_result.findings

    beats = script_of(_scenes(spec, done.scenes, done.play.stage))
    if subjects:
        beats = about(beats, subjects)
    if len(beats) > _LONGEST:
        return []

    def fails(fewer: Iterable[object]) -> bool:
        return bool(kinds & {one.kind for one in play(scenes_of(fewer))})  # type: ignore[arg-type]

    if not fails(beats):
        return []
    shortest = shrunk(beats, fails, until=until)
    lines: list[str] = []
    findings = play(scenes_of(shortest), lines.append)
    first = next((one.subjects for one in findings if one.kind in kinds), ())
    return [*_pointed(lines, first), *(f"WRONG: {one.what}" for one in findings[:5])]


def _scenes(spec: SimulationSpec, number: int, stage: Stage) -> Iterator[Scene]:
    """Draws the scenes that were played again."""
    day = day_of(spec, stage)
    for _ in day.population():
        pass
    scenes = plan_of(spec, stage, day).scenes()
    return takewhile(lambda scene: scene.number <= number, scenes)


def _pointed(lines: list[str], subjects: tuple[str, ...]) -> list[str]:
    """Leaves initial data out that the history is not about."""
    day = next((i for i, line in enumerate(lines) if line == SETTLING), 0)
    before = [line for line in lines[:day] if any(f"({subject})" in line for subject in subjects)]
    return [*before, *lines[day:]][:_LINES]


def narration(play: Play, findings: list[Finding]) -> list[str]:
    """Returns what users did with the subjects of the first findings."""
    subjects = [subject for finding in findings[:3] for subject in finding.subjects]
    lines = [_sentence(act, typed) for act, typed in play.history.about(subjects)]
    return [*lines[-_LINES:], *(f"WRONG: {one.what}" for one in findings[:5])]


def _sentence(act: HistoryEvent, typed: list[TypedValue]) -> str:
    words = ", ".join(f"{one.path} = {one.value}" for one in typed)
    return f"{act.connection}: {act.verb} {act.stream} {act.key} ({act.subject}): {words}"
