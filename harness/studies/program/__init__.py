"""Programs of write pulses: from any conductances to trained ones, with what the pulses do to other cells."""
