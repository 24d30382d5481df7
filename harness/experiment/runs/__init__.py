"""What an experiment knows of a run that was made with it: its manifest, its network as trained, new rows."""
