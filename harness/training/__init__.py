"""The training loop, and the run directories that it fills."""
