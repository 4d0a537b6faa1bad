"""The canonical model: one file per entity."""
