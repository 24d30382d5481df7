"""Exchange with other tools: packages for designers, perceptrons, measured conductances, and their verification."""
