"""Commands that list and show what there is."""
