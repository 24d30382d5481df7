"""Circuits as text, one file a dialect; needs no simulator."""
