"""Rules that move cells and look at the cost."""
