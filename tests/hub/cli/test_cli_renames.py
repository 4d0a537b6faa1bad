"""Commands and options of version 0.1.0 still work; those with a new name say so on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from hub.cli.app import build

#: Command of version 0.1.0 -> its own options.
OLD = {
    "check": "--prepare",
    "config": "",
    "config key": "",
    "config policies": "",
    "config schema": "",
    "config show": "",
    "conflicts": "",
    "conflicts list": "--all",
    "conflicts resolve": "--ours --theirs --value",
    "conflicts show": "",
    "connectors": "",
    "connectors list": "",
    "connectors new": "--in",
    "demo": "--customers --keep",
    "explain": "",
    "init": "--set --system --yes -y",
    "letters": "",
    "letters drop": "",
    "letters list": "",
    "letters replay": "--all",
    "letters show": "",
    "links": "",
    "links decide": "",
    "links list": "--connection --limit",
    "links merge": "",
    "links merges": "",
    "links review": "",
    "links show": "",
    "links split": "",
    "reconcile": "",
    "rehearse": "--changes --database --html --redis-url --seed --vices --workers",
    "resume": "--accept",
    "scheduler": "",
    "serve": "",
    "status": "",
    "sync": "--once",
    "twin": "--port --records --seed --vices",
    "version": "",
    "web": "",
    "worker": "--burst",
}
#: What all take.
GLOBAL = {"--config", "--json", "--quiet", "--debug"}

#: What has a new name: how it is used -> the hint.
RENAMED = {
    "letters": "`tulay letters` is called `tulay errors` now",
    "letters list": "`tulay letters list` is called `tulay errors list` now",
    "letters show push-1": "`tulay letters show` is called `tulay errors show` now",
    "letters replay --all": "`tulay letters replay` is called `tulay errors retry` now",
    "letters drop push-1": "`tulay letters drop` is called `tulay errors drop` now",
    "conflicts resolve 1 --ours": "--ours is called --take crm, --take erp now",
    "conflicts resolve 1 --theirs": "--theirs is called --take crm, --take erp now",
    "twin hubspot --vices los": "--vices is called --faults now",
    "rehearse --vices los": "--vices is called --faults now",
}


def commands() -> Iterator[tuple[str, Any]]:
    """Yields each command with its name, groups included."""
    waiting: list[tuple[str, Any]] = [("", typer.main.get_command(build()))]
    while waiting:
        name, command = waiting.pop()
        yield name, command
        for word, below in getattr(command, "commands", {}).items():
            waiting.append((f"{name} {word}".strip(), below))


def options(command: Any) -> set[str]:
    return {word for one in command.params for word in one.opts if word.startswith("-")}


def test_every_old_command_and_option_works() -> None:
    now = {name: options(command) for name, command in commands()}
    assert set(OLD) <= set(now)
    assert {n: set(o.split()) - now[n] for n, o in OLD.items() if set(o.split()) - now[n]} == {}
    alone = {"config", "connectors"}  # they do nothing without the name of a command
    assert {name for name in OLD if not now[name] >= GLOBAL} == alone


def test_every_hidden_word_is_renamed() -> None:
    """Only old names are hidden, and each is in the table of hints."""
    hidden = set()
    for name, command in commands():
        if command.hidden:
            hidden.add(name)
        hidden |= {f"{name} {o.opts[0]}" for o in command.params if getattr(o, "hidden", False)}
    assert hidden == {
        "letters",
        "conflicts resolve --ours",
        "conflicts resolve --theirs",
        "twin --vices",
        "rehearse --vices",
    }


@pytest.mark.parametrize("words", RENAMED, ids=lambda words: words.replace(" ", "-"))
def test_an_old_name_hints_at_the_new_one(clash: Any, words: str) -> None:
    result = clash.run(*words.split(), code=None)
    note = f"note: {RENAMED[words]}; the old word works until the next release"
    assert result.stderr.splitlines().count(note) == 1, result.output
    assert "works until" not in result.stdout


def test_the_old_words_do_what_the_new_ones_do(clash: Any) -> None:
    (row,) = clash.json("conflicts")
    clash.run("conflicts", "resolve", "1", "--theirs")
    clash.run("sync", "--once")
    names = {system.get("companies", "1")["name"] for system in (clash.crm, clash.erp)}
    assert names == {row["theirs"]}
