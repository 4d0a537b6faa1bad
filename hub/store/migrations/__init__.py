"""Alembic revisions; applied by hub.store.migrate."""
