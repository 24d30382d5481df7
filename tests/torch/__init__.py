"""Tests of `harness.torch`."""
