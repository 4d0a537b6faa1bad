"""Plants bugs in a copy of the tree, one at a time, and reports whether the tests catch them.

    python -m tests.planted                  every bug, with the tests that the table names
    python -m tests.planted sweep lease      bugs whose name contains one of these words
    python -m tests.planted --suite [NAME]   the whole fast suite instead of those tests
    python -m tests.planted --list           the table

Exits with 1 if a bug is not caught, with 2 if the tests fail without one. The tree itself is not
changed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.planted.plant import ROOT, Plant, every

#: Tests that a change of the core must always pass; tests of real servers only where named.
FAST = (
    "tests/hub/model",
    "tests/scenarios/test_convergence_defects.py",
    "tests/scenarios/test_convergence_promises.py",
    "tests/scenarios/test_values.py",
    "tests/scenarios/test_identity.py",
    "tests/scenarios/test_endings.py",
    "tests/scenarios/test_secondary_links.py",
    "tests/scenarios/test_trouble.py",
    "tests/scenarios/test_lost_answers.py",
    "tests/hub/web",
    "tests/hub/store",
    "tests/hub/sync",
    "tests/scenarios/test_crashes.py",
    "tests/scenarios/test_convergence.py",
    "tests/scenarios/test_convergence_wide.py",
    "hub/model",
)
#: Seconds after which tests that do not end count as failed: some bugs make work endless.
_PATIENCE = 600
_COPIED = ("connectors", "mappings", "hub", "worker", "tests", "pyproject.toml", "README.md")


def copied(into: Path) -> None:
    """Copies what the tests need."""
    unwanted = shutil.ignore_patterns("__pycache__", ".*_cache", "*.egg-info")
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, into / name, ignore=unwanted)
        else:
            shutil.copy2(source, into / name)


def failing(tree: Path, tests: Sequence[str]) -> str | None:
    """Returns the first test that fails in a tree; None when all pass.

    Raises: RuntimeError when the tests could not run at all.
    """
    # -m "": whatever their tier, and whatever the configuration leaves out by default.
    options = ["-x", "-q", "-n", "0", "-m", "", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options]
    try:
        done = subprocess.run(
            [*command, "--no-header", "-rfE", "--tb=no", *tests],
            cwd=tree,
            env=_environment(tree),
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"the tests did not end within {_PATIENCE} s"
    if done.returncode == 0:
        return None
    named = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if done.returncode != 1 or not named:
        raise RuntimeError(f"the tests did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return named[0].split(" - ")[0].split(" ", 1)[1]


def _environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def caught(plant: Plant, tree: Path, *, suite: bool) -> str | None:
    """Plants one bug in a sound tree; returns the test that catches it, or None."""
    sound = (tree / plant.file).read_text(encoding="utf-8")
    plant.apply(tree)
    try:
        return failing(tree, FAST if suite else plant.caught_by)
    finally:
        (tree / plant.file).write_text(sound, encoding="utf-8")


def tended(plants: Sequence[Plant], *, suite: bool) -> int:
    """Plants each bug and reports the result; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="tulay-planted-") as folder:
        tree = Path(folder)
        copied(tree)
        named = FAST if suite else tuple(dict.fromkeys(t for p in plants for t in p.caught_by))
        if test := failing(tree, named):
            print(f"{test} fails without a planted bug: no bug can be judged")
            return 2
        missed = 0
        for plant in plants:
            test = caught(plant, tree, suite=suite)
            missed += test is None
            result = f"caught by {test}" if test else "NOT CAUGHT"
            print(f"{plant.promise:9} {plant.name}: {result}", flush=True)
    return 1 if missed else 0


def main(arguments: Sequence[str]) -> int:
    """Runs what the arguments request; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="NAME", help="words of the names of bugs")
    parser.add_argument("--suite", action="store_true", help="run the whole fast suite")
    parser.add_argument("--list", action="store_true", help="only list the bugs")
    asked = parser.parse_args(arguments)
    plants = [p for p in every() if not asked.words or any(w in p.name for w in asked.words)]
    if not plants:
        print("no planted bug has such a name; see --list")
        return 2
    if asked.list:
        print("\n".join(f"{p.promise:9} {p.name} ({p.file})" for p in plants))
        return 0
    return tended(plants, suite=asked.suite)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
