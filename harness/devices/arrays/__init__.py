"""Arrays of memristors under write pulses: schemes of line voltages, lines with resistance, states."""
