"""SPEAK: one folder per system. A connector knows its system and nothing of the hub."""
