"""Pulls, sweeps and takes in what systems show."""
