"""The trees drawn in the docstrings are the trees in the code."""

from __future__ import annotations

import importlib
import inspect

import pytest

ROOMS = {
    "connectors.kit.errors": "ConnectorError",
    "mappings.kit.errors": "MappingError",
    "hub.errors": "HubError",
}


def drawing(module: str, cls: type, *, lead: str = "", mark: str = "") -> list[str]:
    """Draws a class and, below it, its subclasses of the same module."""
    below = sorted(
        (c for c in cls.__subclasses__() if c.__module__ == module),
        key=lambda c: inspect.getsourcelines(c)[1],
    )
    lines = [f"{lead}{mark}{cls.__name__}"]
    inner = lead + {"": "", "├── ": "│   ", "└── ": "    "}[mark]
    for sub in below:
        branch = "└── " if sub is below[-1] else "├── "
        lines += drawing(module, sub, lead=inner, mark=branch)
    return lines


@pytest.mark.parametrize("room", ROOMS)
def test_the_drawn_tree_is_the_real_tree(room: str) -> None:
    module = importlib.import_module(room)
    drawn = [line for line in (module.__doc__ or "").splitlines() if line.endswith("Error")]
    assert drawn == drawing(room, getattr(module, ROOMS[room]))


@pytest.mark.parametrize("room", ROOMS)
def test_every_error_of_a_room_hangs_on_its_tree(room: str) -> None:
    module = importlib.import_module(room)
    root = getattr(module, ROOMS[room])
    classes = [c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == room]
    assert root in classes
    assert all(issubclass(c, root) and c.__doc__ and c.__name__.endswith("Error") for c in classes)
