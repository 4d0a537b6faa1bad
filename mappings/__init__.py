"""Translates: pure two-way tables between a system's own words and the canonical model."""
