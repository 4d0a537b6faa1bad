"""Shrinks a history that breaks a promise to a short one that breaks it too, in bounded time.

Pure but for the clock and the runs themselves: leaves out first what touches other subjects, then
halves, quarters and single steps of what remains.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from hub.simulation.scenes import Op, Scene
from hub.simulation.workload import Step

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class ScriptStep:
    """The smallest part of a history: a step, a job, or a break."""

    scene: int
    step: Step | None = None
    op: Op | None = None
    luck: int = 0


def script_of(scenes: Iterable[Scene]) -> list[ScriptStep]:
    """Splits scenes into beats."""
    found: list[ScriptStep] = []
    for scene in scenes:
        found += [ScriptStep(scene.number, step=step, luck=scene.luck) for step in scene.steps]
        found += [ScriptStep(scene.number, op=op, luck=scene.luck) for op in scene.ops]
        if scene.settles:
            found.append(ScriptStep(scene.number))
    return found


def scenes_of(beats: Iterable[ScriptStep]) -> Iterator[Scene]:
    """Joins beats into scenes again."""
    gathered: dict[int, list[ScriptStep]] = {}
    for beat in beats:
        gathered.setdefault(beat.scene, []).append(beat)
    for number, parts in gathered.items():
        yield Scene(
            number,
            tuple(beat.step for beat in parts if beat.step is not None),
            tuple(beat.op for beat in parts if beat.op is not None),
            any(beat.step is None and beat.op is None for beat in parts),
            parts[0].luck,
        )


def about(beats: Sequence[ScriptStep], subjects: Iterable[str]) -> list[ScriptStep]:
    """Keeps the steps that touch some subjects; the hub's jobs stay.

    >>> from hub.simulation.workload import Step
    >>> steps = [ScriptStep(1, Step(n, "edit", "company", f"c{n}", "crm")) for n in (1, 2)]
    >>> [beat.step.subject for beat in about(steps, ["c2"])]
    ['c2']
    """
    wanted = set(subjects)
    # Steps of an order name the order of its deal, and its documents name the order.
    wanted |= {f"d{subject[1:]}" for subject in wanted if subject[:1] == "o"}
    wanted |= {subject[1:] for subject in wanted if subject[:1] in "mviz" and len(subject) > 2}
    kept = []
    for beat in beats:
        if beat.step is not None and not wanted & set(beat.step.subjects):
            continue
        if beat.op is not None and beat.op.meanwhile is not None:
            at, steps = beat.op.meanwhile
            inner = tuple(step for step in steps if wanted & set(step.subjects))
            beat = replace(beat, op=replace(beat.op, meanwhile=(at, inner) if inner else None))
        kept.append(beat)
    return kept


def shrunk(
    beats: Sequence[ScriptStep], fails: Callable[[Sequence[ScriptStep]], bool], *, until: float
) -> list[ScriptStep]:
    """Returns the shortest list found in time that still fails.

    `until` is a time of the monotonic clock.

    >>> beats = [ScriptStep(n) for n in range(20)]
    >>> found = shrunk(beats, lambda some: beats[7] in some, until=time.monotonic() + 60)
    >>> [beat.scene for beat in found]
    [7]
    """
    return _calmed(fewest(beats, fails, until=until), fails, until=until)


def fewest(
    parts: Sequence[Part], fails: Callable[[Sequence[Part]], bool], *, until: float = math.inf
) -> list[Part]:
    """Leaves out halves, quarters and single parts as long as the rest still fails.

    `until` is a time of the monotonic clock.

    >>> fewest(list(range(20)), lambda some: {3, 17} <= set(some))
    [3, 17]
    """
    left = list(parts)
    size = max(1, len(left) // 2)
    while size:
        start = 0
        while start < len(left):
            if time.monotonic() > until:
                return left
            fewer = left[:start] + left[start + size :]
            if fails(fewer):
                left = fewer
            else:
                start += size
        size //= 2
    return left


def _calmed(
    beats: list[ScriptStep], fails: Callable[[Sequence[ScriptStep]], bool], *, until: float
) -> list[ScriptStep]:
    """Removes the faults and deaths that the failure does not need."""
    for i, beat in enumerate(beats):
        op = beat.op
        if op is None:
            continue
        for calm in (replace(op, meanwhile=None), replace(op, dies=None), replace(op, fault=None)):
            if calm == op or time.monotonic() > until:
                continue
            calmer = replace(beat, op=calm)
            if fails([*beats[:i], calmer, *beats[i + 1 :]]):
                beats[i] = calmer
                break
    return beats
