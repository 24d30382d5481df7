"""Tests of `harness.training`."""
