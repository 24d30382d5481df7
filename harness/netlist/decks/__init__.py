"""Decks for ngspice while it trains: full netlists, batches as one sweep of a source, resident circuits, transients."""
