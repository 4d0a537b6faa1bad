"""Talks to Tryton over JSON-RPC; never imports it."""
