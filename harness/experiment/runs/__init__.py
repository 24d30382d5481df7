"""Runs as their experiment knows them: the manifest of a run, its network as trained, and its network on new rows."""
