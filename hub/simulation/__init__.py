"""A rehearsal: stand-ins for the user's systems, people, faults, and a verdict on every promise."""
