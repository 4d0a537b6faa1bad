"""One word per concept: what people read is free of private words, and names stay short and unique.

Checked are public docstrings and those of commands, messages (strings of three words or more, and
shorter ones in `raise`, in log calls, and in calls that describe settings or findings), every
string of the command line, and Markdown outside code blocks. Comments, private functions and
identifiers are not.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("connectors", "mappings", "hub", "worker")

#: Private words, and what to say instead.
BANNED = {
    r"says whether": "Returns True if ...",
    r"over there": "in the remote system",
    r"anew": "again",
    r"at most so many": "Maximum number of ...",
    r"nudges?|nudged": "notification",
    r"wish(?:es|ed)?|unwish": "outbox entry, wanted record",
    # A letter of the alphabet is one.
    r"(?<!case )(?<!small )(?<!with a )(?<!, {2}a )letters?": "quarantine entry",
    r"bur(?:y|ies|ied)": "quarantine",
    r"soil(?:s|ed)?": "mark dirty",
    r"set aside|sets aside": "quarantined",
    r"unheard|heard of": "in doubt, confirmed",
    r"surpris(?:e|es|ed|ing)": "unusually large change, change limit",
    r"fights?|flips?": "oscillation, reversal",
    r"vices?|misbehaves?|misbehaving": "fault",
    r"costumes?|stand-ins?": "emulator",
    r"mortals?": "crash point",
    r"verdicts?": "check result",
    r"crews?": "workload",
    r"heirs?|spare (?:link|record)s?": "primary link, secondary link",
    r"sightings?": "observation",
    r"clash(?:es)?": "conflict",
    r"whoever": "the process that, the person who",
    r"nobody": "no user, no process: say which",
    r"laps(?:e|es|ed)": "expires",
    r"com(?:e|es|ing) to rest": "settles",
    r"com(?:e|es|ing) to an end": "ends, finishes",
    r"(?:is|are|was|were) told(?! to)": "is notified, is reported",
    r"what (?:became|becomes|has become) of": "the outcome, the result",
    r"so many": "a number of ...",
    r"go(?:es)? on|went on": "continues",
    r"g(?:ive|ives|iven|iving|ave) back": "releases, returns",
    r"lets? go": "releases",
    r"(?:is|are|was|were|goes|went) away": "is unavailable",
    r"br(?:eaks?|oke|oken) off": "interrupted",
    r"looks? again": "fetches again, checks again",
    r"takes? in|taken in": "ingests, reads",
    r"all the same": "anyway",
    r"obey(?:s|ed)?": "applied",
    r"believ(?:e|es|ed)": "trusted, counts",
    r"in the moment": "at the moment",
    r"in the place of": "instead of",
    r"of (?:its|their) own": "its own, separate",
    r"who is who": "identity",
    r"headway": "progress",
    r"(?:some|any|every)body": "a user, another process: say which",
    r"sees? to it": "ensures",
    r"puts? right": "corrects",
    r"mistakes? of ours": "bug, programming error",
}
_WORDS = re.compile(r"\b(?:" + "|".join(BANNED) + r")\b", re.IGNORECASE)
#: Names of options and of files in backticks, and the lines of doctests, are code.
_QUOTED = re.compile(
    r"`[^`\n]*`|https?://\S+|(?<!\S)--[a-z][a-z-]*|^ *(?:>>>|\.\.\.) .*$", re.MULTILINE
)
#: Old names of commands and JSON keys, which work for one more release.
OLD_NAMES = {"letters"}

#: Calls whose strings people read.
_SPEAKING = {
    "Finding", "Field", "Option", "Argument", "SettingFacts", "Line",
    "debug", "info", "warning", "error", "exception", "critical",
    "say", "note", "complain", "print", "problem",
}  # fmt: skip

#: Names of test functions may have this many letters after `test_`.
LONGEST_TEST_NAME = 40

MOST_CLASS_LINES = 200
#: Longer classes, with the reason. A class that gets shorter leaves the table.
LARGE_CLASSES: dict[str, str] = {
    "connectors/kit/suite.py:ConnectorContract": "the contract: one short test for each promise",
    "connectors/memory/connector.py:MemoryConnector": "one method for each one of the contract",
}

MOST_OWN_IMPORTS = 14
#: Files that import from more of our own modules, with the reason.
WIDE_IMPORTS: dict[str, str] = {
    "connectors/hubspot/connector.py": "puts the parts of the connector together",
    "hub/simulation/in_process.py": "to be split",
    "hub/simulation/stage.py": "to be split",
    "hub/sync/storing.py": "stores in each table once, in one order",
    "hub/wiring.py": "the composition root",
    "worker/simulation.py": "to be split",
}

#: Several files may share a name when all of them are this one thing.
ONE_MEANING: dict[str, str] = {
    "batches": "calls about many records at once",
    "change_limits": "runs that change unusually much, measured and held",
    "client": "the API of a system, endpoint by endpoint",
    "connector": "the connector contract in terms of a client",
    "conflicts": "fields that a person must decide, stored and shown",
    "describing": "the live fields of a stream",
    "errors": "the error tree of a room",
    "explain": "why a golden record looks as it does, and its command",
    "faults": "what may go wrong in an emulator",
    "in_doubt": "writes whose answer was lost",
    "inbox": "notifications, stored until they are processed",
    "links": "which record belongs to which golden record, stored and shown",
    "lost_updates": "values that a write replaced unread",
    "oscillation": "two systems that undo each other, recognised and paused",
    "page_faults": "what happens to records while their pages are read",
    "progress": "shows how far a run is",
    "rate_limits": "who may call a system how often, decided and stored",
    "reading": "how a connector reads streams",
    "reconcile": "compares all sides with the golden records, and its command",
    "registry": "the list of what there is: connectors, flows",
    "seed": "fills a system with invented data",
    "tokens": "OAuth tokens",
    "twin": "starts an emulator",
    "webhooks": "deliveries of webhooks: signed, verified, received",
    "writing": "how a connector writes records",
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room(path: Path) -> str:
    """Returns the folder below the package: `hub/cli`, `connectors/kit`; `.` for the root."""
    return "/".join(path.relative_to(ROOT).parts[:-1][:2]) or "."


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "versions" not in path.parts:
                yield path


def pages() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*.md")):
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
            yield path


def _docstrings(tree: ast.Module) -> Iterator[str]:
    """Yields the docstrings of a module, of what is public in it, and of all commands."""
    open_nodes: list[ast.Module | ast.ClassDef] = [tree]
    while open_nodes:
        node = open_nodes.pop()
        yield ast.get_docstring(node) or ""
        for child in node.body:
            public = not getattr(child, "name", "_").startswith("_")
            if isinstance(child, ast.ClassDef) and public:
                open_nodes.append(child)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and public:
                yield ast.get_docstring(child) or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(map(_is_command, node.decorator_list)):
            yield ast.get_docstring(node) or ""


def _is_command(decorator: ast.expr) -> bool:
    return _called(decorator) == "command"


def _called(node: ast.AST) -> str:
    target = node.func if isinstance(node, ast.Call) else None
    return getattr(target, "attr", getattr(target, "id", ""))


def _messages(tree: ast.Module) -> Iterator[str]:
    """Yields strings of three words, and those of raised errors and of calls that people read."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    seen = set()
    for node in ast.walk(tree):
        speaking = isinstance(node, ast.Raise) or _called(node) in _SPEAKING
        for part in ast.walk(node) if speaking else [node]:
            if not isinstance(part, ast.Constant) or not isinstance(part.value, str):
                continue
            if id(part) not in docstrings and (speaking or part.value.count(" ") > 1):
                seen.add((part.lineno, part.col_offset, part.value))
    for _, _, text in sorted(seen):
        yield text


def _command_line(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def texts(path: Path) -> Iterator[str]:
    """Yields what people read of a file."""
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield re.sub(r"^ *```.*?^ *```", "", content, flags=re.DOTALL | re.MULTILINE)
        return
    tree = ast.parse(content)
    if "cli" in path.parts:
        yield from _command_line(tree)
        return
    yield from _docstrings(tree)
    yield from _messages(tree)


def private_words(path: Path) -> list[str]:
    said = (text for text in texts(path) if text not in OLD_NAMES)
    return [word for text in said for word in _WORDS.findall(_QUOTED.sub("", text))]


def test_people_read_the_fields_own_words() -> None:
    """See BANNED for the words to use instead."""
    found = {name(path): private_words(path) for path in [*sources(), *pages()]}
    assert {path: words for path, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"""Says whether it is so."""', ["Says whether"]),
        ("raise ValueError('the wish was buried')", ["wish", "buried"]),
        ("log.warning('it lapses')", ["lapses"]),
        ("def _private():\n    '''Says whether it is so.'''", []),
        ("def f():\n    @command(app)\n    def go():\n        '''Goes on.'''", ["Goes on"]),
        ("reason = 'it goes on tomorrow'", ["goes on"]),
        ("Option('--vices', help='all of them')", []),
        ("# nobody reads a comment\nnudge = 'nudge'", []),
    ],
)
def test_private_words_are_found(text: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)
    assert private_words(path) == words


def test_test_names_are_short() -> None:
    """A test name states the rule in at most 40 letters; the story stands in its first line."""
    long = [
        f"{name(path)}: {node.name}"
        for path in [*(ROOT / "tests").rglob("test_*.py"), ROOT / "connectors/kit/suite.py"]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and len(node.name.removeprefix("test_")) > LONGEST_TEST_NAME
    ]
    assert long == []


def test_no_class_is_longer_than_one_can_read() -> None:
    long = {
        f"{name(path)}:{node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MOST_CLASS_LINES
    }
    assert long == set(LARGE_CLASSES)


def own_imports(path: Path) -> int:
    """Returns the number of our own modules that a file imports from."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            package = ROOT / (node.module or "").replace(".", "/")
            for one in node.names:
                inside = (package / f"{one.name}.py").is_file() or (package / one.name).is_dir()
                modules.add(f"{node.module}.{one.name}" if inside else node.module)
        elif isinstance(node, ast.Import):
            modules |= {one.name for one in node.names if one.name.split(".")[0] in PACKAGES}
    return len(modules)


def test_no_file_needs_the_whole_house() -> None:
    wide = {name(path) for path in sources() if own_imports(path) > MOST_OWN_IMPORTS}
    assert wide == set(WIDE_IMPORTS)


def test_no_file_name_has_two_meanings() -> None:
    files = defaultdict(list)
    for path in sources():
        if path.stem not in ("__init__", "__main__"):
            files[path.stem].append(name(path))
    assert {stem for stem, paths in files.items() if len(paths) > 1} == set(ONE_MEANING)
