"""A simulation: emulators of the user's systems, a workload, faults, and a check of every
promise."""
