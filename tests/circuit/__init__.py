"""Tests of `harness.circuit`."""
