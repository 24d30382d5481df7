"""Boards in the languages that they speak."""
