"""Passes from one circuit to another: spread, stuck cells, line resistance, temperature, nonlinear cells."""
