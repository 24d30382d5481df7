"""Costs, learning rules and update rules: they know voltages and topology, never a simulator."""
