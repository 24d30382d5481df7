"""Tests of `harness.studies`."""
