"""The use cases: thin imperative shells around hub.model."""
