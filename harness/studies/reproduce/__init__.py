"""What three papers claim and what the documentation says was found here, each measured again by one command."""
