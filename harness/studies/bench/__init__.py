"""Studies of a board on the bench: who is there, its channels, its cells, and the board against its digital twin."""
