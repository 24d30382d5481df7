"""A board that is simulated: any chip, served as an instrument."""
