"""The forms in which commands print: help and tables that fit a terminal, and progress."""
