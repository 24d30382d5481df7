"""Lines to boards; each file imports its library when a line is opened."""
