"""Tests of `harness.devices`."""
