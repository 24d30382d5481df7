"""Exact elimination of a circuit's linear parts, and the way back to every voltage."""
