"""The commands of the lab's bench, one file for each family of them; `group.py` joins them."""
