"""Writes to a system what it lacks."""
