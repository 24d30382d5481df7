"""Chips behind a server in this process, and a plain host of it."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread

import numpy as np

from harness.chip.base import Chip
from harness.chip.bench.virtual.connection import Door, tcp_door, terminal_door
from harness.chip.bench.virtual.instrument import Instrument
from harness.chip.bench.virtual.openmena import OpenMenaBoard
from harness.chip.bench.virtual.server import Served, Server
from harness.chip.imperfect.programming import Mode, ProgrammedChip, Programming
from harness.chip.nodal.chip import nodal_chip
from harness.circuit import Circuit
from harness.circuit.networks.layered import layered_network
from harness.devices.pulses import LinearStep, WritePulse
from harness.devices.writing import Device


def network() -> Circuit:
    """Two inputs, three hidden nodes, one output; two crossbars."""
    raise NotImplementedError
