"""Tests of plug-ins: an example package, used from experiment files through the command line."""
