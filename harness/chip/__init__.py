"""The `Chip`, by which a circuit is driven and read, and its implementations."""
