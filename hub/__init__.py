"""Decides and remembers: the sync core, its store, its receivers and its command line."""
