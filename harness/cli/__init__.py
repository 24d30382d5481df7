"""The command line. Each file holds one command, which parses, calls and prints."""
