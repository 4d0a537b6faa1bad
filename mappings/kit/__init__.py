"""Lenses, converters and the loader of mapping files."""
