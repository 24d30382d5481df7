"""Tests of `harness.pictures`."""
