"""Builders of the circuits that are trained: crossbars, deep resistive networks, graphs, cascades, perceptrons."""
