"""The tour of the README, command by command, with the output it promises."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.hubspot import twin as hubspot
from connectors.tryton import sandbox

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\dZ")


def steps() -> Iterator[tuple[str, str]]:
    """Yields each command of the README's console blocks with the output that follows it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def promised(output: str) -> re.Pattern[str]:
    """Returns what the output must look like: `...` is anything."""
    lines = []
    for line in output.splitlines():
        if line == "...":
            lines.append(r"(?:.*\n)*?")
        else:
            words = [re.escape(word) for word in line.split("...")]
            lines.append(".*?".join(words) + "\n")
    return re.compile("".join(lines))


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    crm = hubspot.start(records=20)
    with sandbox.start() as erp:
        yield {"http://127.0.0.1:8090": crm.url, "http://127.0.0.1:8091": erp.url}
    crm.stop()


def test_the_tour_is_what_happens(tmp_path: Path, addresses: dict[str, str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    done = 0
    for command, output in steps():
        for written, real in addresses.items():
            command = command.replace(written, real)
        words = shlex.split(command)
        if words[0] == "export":
            environment |= dict(word.split("=", 1) for word in words[1:])
            continue
        if words[0] == "tulay":
            words = [sys.executable, "-m", "hub.cli", *words[1:]]
        ran = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        shown = TIME.sub("<time>", ran.stdout)
        assert promised(output).fullmatch(shown), f"$ {command}\n{shown}\n--- promised:\n{output}"
        done += 1
    assert done >= 8
