"""Resistor-diode circuits as monotone operator networks, both ways, and their digital solution by splitting."""
