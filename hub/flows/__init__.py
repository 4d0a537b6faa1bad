"""Pure derivations: golden records in, wanted golden records out."""
