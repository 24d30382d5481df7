"""The command line, one module a command; a skin: parse, call, print."""
