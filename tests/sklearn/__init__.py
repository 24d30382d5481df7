"""Tests of `harness.sklearn`."""
