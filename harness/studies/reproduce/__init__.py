"""Claims of three papers, and findings of the documentation, each measured again by one command."""
