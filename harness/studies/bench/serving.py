"""An experiment's chip, or that of a run, as an instrument for others."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.chip.base import Chip
from harness.chip.bench.virtual.connection import tcp_door
from harness.chip.bench.virtual.instrument import Instrument
from harness.chip.bench.virtual.server import Served, Server
from harness.experiment.chip import SimulatorChoice
from harness.experiment.experiment import Experiment
from harness.processes.interrupts import stop_on_signal
from harness.training.runs import Run


@dataclass(frozen=True)
class BoardOptions:
    """How a served board behaves."""

    latency: float = 0.0
    """s that pass before each message is carried out."""
    settling: float = 0.0
    """Time constant (s) with which voltages settle; 0 for at once."""
    dead_man: float = 0.0
    """s without a message after which pins are grounded, until a host says otherwise; 0 for never."""
    state: Path | None = None
    """File that keeps the cells."""


def serve(
    subject: Experiment,
    run: Run | None,
    port: int,
    options: BoardOptions,
    simulators: SimulatorChoice,
    *,
    opened: Callable[[dict[str, int], str], None],
    tell: Callable[[str], None],
) -> None:
    """Serve a chip, with the conductances of a run if one is given, until Ctrl-C or SIGTERM.

    Args:
        subject: the experiment, with what differs from it.
        run: the one whose trained conductances are served; None for the initial ones.
        port: to listen on; 0 for any that is free.
        options: how the board behaves.
        simulators: how many ngspices.
        opened: called when hosts may connect, with the counts of what the board has and its VISA resource.
        tell: takes lines for the person at the board.

    Raises:
        BoardError: the port cannot be had, or the state file cannot be used.
        RunError: the run has no checkpoint yet.
        OSError: the state file cannot be written.
    """
    server = Server(latency=options.latency, dead_man=options.dead_man, tell=tell)
    with tcp_door(port) as door, subject.open_chip(simulators) as chip, stop_on_signal("message", server.stop):
        if run is not None:
            chip.program(subject.trained(run).conductances)
        board: Served = Instrument(
            chip, subject.settings.name, settling=options.settling, state=options.state, wait=server.wait
        )
        opened(_extent(chip), door.resource)
        server.serve(board, door)
    server.close()


def _extent(chip: Chip) -> dict[str, int]:
    circuit = chip.circuit
    return {
        "inputs": circuit.channels,
        "outputs": len(circuit.outputs),
        "nodes": len(circuit.nodes),
        "cells": sum(array.conductances.size for array in circuit.arrays),
    }
