"""The text of a new connector folder; `connectors.kit.scaffold` fills it in."""
