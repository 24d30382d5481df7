"""Commands about this machine and about the shell that types them."""
