"""Rebuilds the reference netlists in this folder: `make netlists`."""

from pathlib import Path

from harness import Experiment

HEADER = "reference netlist, rebuilt by 'make netlists'; do not edit"


def build() -> dict[str, str]:
    """Text of every reference netlist, by file name."""
    experiment = Experiment.load("xor")
    comments = [HEADER, "experiment xor, initial conductances, seed 0"]
    return {"xor.cir": experiment.netlist(experiment.circuit, comments=comments)}


if __name__ == "__main__":
    for name, text in build().items():
        (Path(__file__).parent / name).write_text(text)
