"""Retention: what time, heat and reads do to the conductance of a device after it was written."""
