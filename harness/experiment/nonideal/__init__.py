"""Sections about what is wrong with a chip: as made, as written, at its pins, and in time."""
