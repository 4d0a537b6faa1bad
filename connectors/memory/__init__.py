"""The reference connector: a small system of our own, for tests, tours and rehearsals."""

from connectors.memory.connector import MemoryConnector
from connectors.memory.shapes import Faults, StreamShape
from connectors.memory.system import MemorySystem, Written, manifest_of

__all__ = ["Faults", "MemoryConnector", "MemorySystem", "StreamShape", "Written", "manifest_of"]
