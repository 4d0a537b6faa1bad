"""What others call us by: webhooks, health, metrics. Never Redis, never a remote call."""
