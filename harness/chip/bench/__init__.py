"""A chip on a bench: any board that is driven by messages."""
