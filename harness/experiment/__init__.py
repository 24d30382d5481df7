"""Experiments: a TOML file becomes settings, and settings become a circuit, a chip, a rule and data."""
