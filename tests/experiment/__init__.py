"""Tests of `harness.experiment`."""
