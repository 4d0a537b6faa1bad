"""What other systems call: webhooks, health, metrics. Never Redis, never a remote call."""
