"""Tests of `harness.learning`."""
