"""The design report: a network's measured figures, its pictures, and one HTML page that needs no network."""

import harness.pictures  # noqa: F401 - imports Matplotlib before schemdraw and the figures do
