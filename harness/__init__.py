"""SPICE-backed, hardware-in-the-loop training of analog neural networks.

>>> from harness import Experiment
>>> experiment = Experiment.load("iris", ["chip.kind=nodal", "training.epochs=1"])
>>> experiment.settings.network.hidden
(10,)
"""

from importlib import metadata

__version__ = metadata.version("harness")

__all__ = ["Experiment", "Run", "__version__"]


def __getattr__(name: str) -> object:
    """The public names, loaded when they are first asked for: importing the package does no work."""
    if name == "Experiment":
        from harness.experiment import Experiment  # noqa: PLC0415

        return Experiment
    if name == "Run":
        from harness.runs import Run  # noqa: PLC0415

        return Run
    raise AttributeError(f"module 'harness' has no attribute {name!r}")
