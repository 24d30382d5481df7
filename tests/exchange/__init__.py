"""Tests of `harness.exchange`."""
