"""Bugs planted in the core on purpose, to prove that the tests catch them. See `__main__.py`."""
