"""Mappings of HubSpot."""
