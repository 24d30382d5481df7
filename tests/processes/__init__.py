"""Tests of `harness.processes`."""
