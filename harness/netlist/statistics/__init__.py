"""Spread, mismatch and corners of a chip's devices, in the words of a dialect."""
