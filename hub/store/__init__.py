"""What the hub remembers. The only room that knows the tables."""
