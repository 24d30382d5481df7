"""Measurements of speed: of experiments as they train, part by part, against an earlier call, and in other ways."""
