"""Loops that Numba compiles (`harness.chip.nodal.machine_code`): equations, the iteration, and what calls it."""
