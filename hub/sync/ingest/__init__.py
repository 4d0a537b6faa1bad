"""Ingests what systems show: pulls, sweeps, pages."""
