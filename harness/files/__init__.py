"""Files from outside, read with care, and files of our own, written whole or not at all."""
