"""Sweeps: an experiment at every point of a grid or a Monte-Carlo, trained there or only deployed there.

Points are experiments, jobs train them or deploy conductances there, and the directory keeps what was reached.
"""

from harness.studies.sweep.directory import Ended, Outcome, Sweep, run

__all__ = ["Ended", "Outcome", "Sweep", "run"]
