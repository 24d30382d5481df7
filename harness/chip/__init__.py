"""How a circuit is driven and read: the `Chip` protocol and its implementations."""
