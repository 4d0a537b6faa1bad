"""The use cases: thin imperative shells round hub.model."""
