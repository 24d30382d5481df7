"""The base class of all elements: what each says of itself, with the answers that most of them give."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np

from harness.circuit.primitives import Primitive
from harness.errors import CircuitError

GROUND = "0"
Path = tuple[str, str]
"""Two nodes between which a direct current can flow."""

CONDUCTANCE_LIMIT = 1e6  # S: beyond it SPICE's own arithmetic loses the rest of the circuit


class Part:
    """Base with the answers of most elements: they drive no node, pass no direct current, and take any value."""

    noun: ClassVar[str]
    """The kind of the element, in words."""
    figure: ClassVar[tuple[str, str]]
    """The attribute that tells two of them apart, and its unit."""

    name: str

    @property
    def title(self) -> str:
        """The element's name in messages."""
        return f"{self.noun} {self.name}"

    @property
    def drives(self) -> str | None:
        """The node whose voltage the element dictates, if any."""
        return None

    def lowered(self) -> Iterator[Primitive]:
        """The parts that the element comes down to; nodes of its own begin with `RESERVED`."""
        raise NotImplementedError

    def small_signal(self, volts: Mapping[str, float]) -> "Iterator[Part]":  # noqa: ARG002
        """Yield the elements that small signals see about an operating point (V by node), where sources stand still."""
        yield self

    def placed(self, name: str, pins: Sequence[str]) -> Self:
        """Return the element under another name, at other nodes; not for arrays."""
        cls: Any = type(self)
        return cls(name, *pins, *(getattr(self, f.name) for f in fields(cls)[1 + len(pins) :]))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Pairs of nodes between which it lets a direct current pass; arrays say that cell by cell, in `ends`."""
        return ()

    def reciprocal(self, free: Container[str]) -> bool:  # noqa: ARG002
        """Return whether errors return through it as signals pass, given the nodes whose voltages are unknown."""
        return True

    def check(self) -> None:
        """Refuse values that no circuit can have.

        Raises:
            CircuitError: a value is out of bounds or not finite; names the element.
        """


def check_finite(what: str, value: float, unit: str) -> None:
    """Refuse a value that is no number."""
    if not np.isfinite(value):
        raise CircuitError(f"{what}: {value} {unit} is not finite")


def check_nonzero(what: str, value: float, unit: str) -> None:
    """Refuse 0 and what is no number."""
    check_finite(what, value, unit)
    if value == 0:
        raise CircuitError(f"{what} must not be 0 {unit}")


def check_apart(what: str, which: str, nodes: tuple[str, str]) -> None:
    """Refuse one node at both ends."""
    if nodes[0] == nodes[1]:
        raise CircuitError(f"{what}: {which} at node {nodes[0]}")
