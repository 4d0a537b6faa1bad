"""Mappings of Tryton."""
