"""An experiment's chip, or that of a run, as an instrument for others."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from harness.chip.base import Chip
from harness.chip.bench.virtual.connection import tcp_door, terminal_door
from harness.chip.bench.virtual.instrument import Instrument
from harness.chip.bench.virtual.openmena import OpenMenaBoard, board_circuit
from harness.chip.bench.virtual.server import Served, Server
from harness.experiment.chip import SimulatorChoice
from harness.experiment.experiment import Experiment
from harness.files.locking import alone_in
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
    openmena: bool = False
    """True for an OpenMENA board behind a pseudo-terminal, instead of an instrument at a port."""


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
        RunError: the run has no checkpoint yet, or another board keeps its cells in the state file.
        OSError: the state file cannot be written.
    """
    with (
        _alone_with(options.state),
        closing(Server(latency=options.latency, dead_man=options.dead_man, tell=tell)) as server,
        terminal_door() if options.openmena else tcp_door(port) as door,
        _chip(subject, options, simulators) as chip,
        stop_on_signal("message", server.stop),
    ):
        if run is not None:
            chip.program(subject.trained(run).conductances)
        board = _board(chip, subject.settings.name, options, server)
        opened(_extent(chip), door.resource)
        server.serve(board, door)


def _alone_with(state: Path | None) -> AbstractContextManager[None]:
    if state is None or not state.parent.is_dir():  # who writes the state says so
        return nullcontext()
    return alone_in(state.parent, f"state file {state}", f".{state.name}.lock")


def _chip(subject: Experiment, options: BoardOptions, simulators: SimulatorChoice) -> AbstractContextManager[Chip]:
    if options.openmena:
        return closing(subject.fitted.chip_description.build(board_circuit(subject.circuit), simulators))
    return subject.open_chip(simulators)


def _board(chip: Chip, title: str, options: BoardOptions, server: Server) -> Served:
    if options.openmena:
        return OpenMenaBoard(chip, options.state)
    return Instrument(chip, title, settling=options.settling, state=options.state, wait=server.wait)


def _extent(chip: Chip) -> dict[str, int]:
    circuit = chip.circuit
    return {
        "inputs": circuit.channels,
        "outputs": len(circuit.outputs),
        "nodes": len(circuit.nodes),
        "cells": sum(array.conductances.size for array in circuit.arrays),
    }
