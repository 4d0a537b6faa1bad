"""What one needs to write a connector, and nothing else."""
