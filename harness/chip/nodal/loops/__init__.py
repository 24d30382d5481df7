"""Loops that Numba compiles (`harness.chip.nodal.compiled`): functions of a number, equations, and the iteration."""
