"""Tests of `harness.files`."""
