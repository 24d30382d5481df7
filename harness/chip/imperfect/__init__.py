"""Chips with imperfections: as they were made, at their pins, and in how their cells are written."""
