"""Pure derivations: golden records in, wanted golden records out. No clock, no store."""
