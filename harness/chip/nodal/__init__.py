"""The built-in solver: the reduced network by Newton's method, and the unreduced one where nothing can be reduced."""
