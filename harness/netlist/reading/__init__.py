"""Netlists read back: packages from strangers are data, and nothing in them is executed."""
