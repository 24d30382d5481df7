"""SPICE-backed, hardware-in-the-loop training of analog neural networks.

>>> from harness import Experiment
>>> experiment = Experiment.load("iris", ["chip.kind=nodal", "training.epochs=1"])
>>> experiment.settings.network.hidden
(10,)
"""

__version__: str

__all__ = ["Experiment", "Run", "__version__", "register"]


def __getattr__(name: str) -> object:
    """The public names, loaded when they are first asked for: importing the package does no work."""
    if name == "__version__":
        from importlib import metadata  # noqa: PLC0415

        return metadata.version("harness")
    if name == "Experiment":
        from harness.experiment.experiment import Experiment  # noqa: PLC0415

        return Experiment
    if name == "Run":
        from harness.training.runs import Run  # noqa: PLC0415

        return Run
    if name == "register":
        from harness.plugins import register  # noqa: PLC0415

        return register
    raise AttributeError(f"module 'harness' has no attribute {name!r}")
