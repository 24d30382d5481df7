"""Tests of `harness.datasets`."""
