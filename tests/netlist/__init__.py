"""Tests of `harness.netlist`."""
