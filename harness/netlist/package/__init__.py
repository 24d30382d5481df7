"""A package of netlists for a designer's tools: its files and its guide."""
