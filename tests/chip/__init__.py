"""Tests of `harness.chip`."""
