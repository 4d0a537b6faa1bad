"""Tulay's own words: one file per entity."""
