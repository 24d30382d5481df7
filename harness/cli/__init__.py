"""The command line: longer commands have a file each, the others stand in `main`."""
