"""Files: those from outside are read with care, and our own are written as a whole or not at all."""
