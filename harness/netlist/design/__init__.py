"""A circuit as a designer's hierarchy of parts with names, before any dialect."""
