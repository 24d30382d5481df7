"""Sweeps: an experiment at every point of a grid or a Monte-Carlo, trained there or only deployed there.

Points are what to do, jobs are trainings and deployments, executors are where; the directory keeps what was reached.
"""

from harness.studies.sweep.directory import Ended, Outcome, Sweep, run

__all__ = ["Ended", "Outcome", "Sweep", "run"]
