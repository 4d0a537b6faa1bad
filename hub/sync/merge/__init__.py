"""Merges two golden records, and undoes it."""
