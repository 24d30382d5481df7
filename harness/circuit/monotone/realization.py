"""Circuits that realize the parameters of a monotone operator network (Chaffey 2025, arXiv 2509.13793)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.circuit.arrays import Crossbar, Edges
from harness.circuit.circuit import Circuit
from harness.circuit.elements import CurrentSource, Diode, Element, Gyrator, InputSource, Output, Transformer
from harness.circuit.monotone.monotone import MonotoneNetwork, require_monotone
from harness.circuit.part import GROUND
from harness.devices import DiodeModel
from harness.errors import CircuitError
from harness.measurement import Array
from harness.units import show

_NEGLIGIBLE = 1e-12
"""Fraction of the largest entry that rounding may leave of a zero."""
_SPARE = 10.0  # times the largest conductance of a realized array that its cells can hold


@dataclass(frozen=True, eq=False)
class _Parts:
    """A network as conductances (S): what goes between nodes, to the inputs and to ground."""

    between: Array
    """Symmetric, ``[m, m]``, zero diagonal: below 0 a conductance between nodes, above 0 one to the other's mirror."""
    turned: Array
    """Skew, ``[m, m]``."""
    inputs: Array
    """Signed, ``[m, p]``."""
    ground: Array
    """``[m]``."""
    current: Array
    """A, ``[m]``."""


def circuit_of(
    W: Array,  # noqa: N803 - the paper's letters
    U: Array,  # noqa: N803
    b: Array,
    *,
    alpha: float,
    unit: float,
    diode: DiodeModel,
    gyrators: bool = False,
    transformers: bool = False,
    input_gain: float = 1.0,
    name: str = "monotone",
) -> Circuit:
    """A circuit whose hidden nodes settle, with ideal diodes, at z = ReLU(W z + U u + b): z in V, u in V.

    Node ``h<k>`` has a diode from ground that holds it at v ≥ 0. With H = (I − W)/α, the conductances around it make up
    unit · H, and inputs and bias drive unit/α · (U u + b) into it: Kirchhoff's law is the network's slack, and the
    diode's current is that slack. Conductances come from trainable arrays: the crossbar ``x`` from input pins
    (``p<j>`` at +gain and ``n<j>`` at −gain times channel j) to nodes, the edges ``w`` between nodes and to ground. A
    bias is a current source. Output k reads node k.

    Off the diagonal, H may have any sign pattern if gyrators (g<j>, for its skew part) and transformers of ratio −1
    (t<k>, which hold ``m<k>`` at −v(h<k>), for positive symmetric entries) are allowed. Its diagonal must outweigh the
    conductances that leave the node.

    Args:
        W: ``[m, m]``.
        U: ``[m, p]``.
        b: ``[m]``.
        alpha: the step α that W = I − αH was made with.
        unit: S that stand for 1 in H.
        diode: the model of all diodes.
        gyrators: may be used.
        transformers: may be used.
        input_gain: V at an input pin per V of input; the larger, the smaller are the conductances to the pins.
        name: of the circuit.

    Raises:
        CircuitError: shapes do not fit, α, `unit` or `input_gain` is not above 0, the operator is not monotone (with
            its smallest eigenvalue), or an entry of H would need a negative conductance or a part that is not allowed
            (with the entry).
    """
    _check_parameters(W, U, b)
    for what, value in (("α", alpha), ("unit (S)", unit), ("input gain", input_gain)):
        if not 0 < value < np.inf:
            raise CircuitError(f"circuit {name}: {what} {value:g} must be finite and above 0")
    operator = (np.eye(len(W)) - W) / alpha
    outputs = np.eye(len(W)), np.zeros_like(U), np.zeros(len(W))
    require_monotone(MonotoneNetwork(operator, -U / alpha, -b / alpha, *outputs))
    siemens = unit * operator
    drive, amperes = unit / alpha * U / input_gain, unit / alpha * b
    parts = _parts(siemens, drive, amperes, gyrators=gyrators, transformers=transformers)
    hidden = range(len(W))
    elements = [
        *_input_part(parts, input_gain),
        *_node_part(parts),
        *(CurrentSource(f"b{k}", GROUND, f"h{k}", float(parts.current[k])) for k in np.flatnonzero(parts.current)),
        *(Diode(f"d{k}", GROUND, f"h{k}", diode) for k in hidden),
    ]
    return Circuit(name, tuple(elements), tuple(Output(f"y{k}", f"h{k}") for k in hidden))


def _check_parameters(W: Array, U: Array, b: Array) -> None:  # noqa: N803
    if W.ndim != 2 or U.ndim != 2 or W.shape != (len(b), len(b)) or len(U) != len(b):
        raise CircuitError(f"W, U and b have shapes {W.shape}, {U.shape} and {b.shape}, not [m, m], [m, p] and [m]")
    for name, values in (("W", W), ("U", U), ("b", b)):
        if not np.isfinite(values).all():
            raise CircuitError(f"{name}: an entry is not finite")


def _parts(siemens: Array, drive: Array, amperes: Array, *, gyrators: bool, transformers: bool) -> _Parts:
    """Return the parts that realize a conductance matrix (S) and a drive (S from input pins, A).

    Raises:
        CircuitError: an entry cannot be realized; names it.
    """
    noise = _NEGLIGIBLE * np.abs(siemens).max(initial=0.0)
    symmetric, skew = (siemens + siemens.T) / 2, (siemens - siemens.T) / 2
    between = np.where(np.abs(symmetric) > noise, symmetric, 0.0)
    np.fill_diagonal(between, 0.0)
    turned = np.where(np.abs(skew) > noise, skew, 0.0)
    if turned.any() and not gyrators:
        place, entry = _largest(np.abs(turned), siemens)
        mirror = show(float(siemens.T[place]), "S")
        raise CircuitError(f"{entry} is not symmetric, its mirror is {mirror}, and gyrators are not allowed")
    if (between > 0).any() and not transformers:
        _, entry = _largest(between, between)
        raise CircuitError(f"{entry} is positive and needs a negative conductance, or transformers, not allowed here")
    leaving = np.abs(between).sum(axis=1) + np.abs(drive).sum(axis=1)
    ground = np.diagonal(symmetric) - leaving
    if (ground < -noise).any():
        row = int(ground.argmin())
        _, entry = _largest(np.diag(leaving - np.diagonal(symmetric)), symmetric)
        raise CircuitError(
            f"{entry}: the diagonal is too small by {show(-float(ground[row]), 'S')} for the conductances that leave "
            f"node h{row}, {show(float(leaving[row]), 'S')}; raise it, or the input gain"
        )
    return _Parts(between, turned, drive, np.where(ground > noise, ground, 0.0), amperes)


def _largest(excess: Array, values: Array) -> tuple[tuple[int, int], str]:
    """Return where `excess` is largest, and the name of that entry of `values` (S) for a message."""
    row, column = divmod(int(excess.argmax()), len(values))
    return (row, column), f"H, row {row}, column {column}: {show(float(values[row, column]), 'S')}"


def _input_part(parts: _Parts, gain: float) -> list[Element]:
    nodes, channels = parts.inputs.shape
    if not channels:
        return []
    pins = [(f"{sign}{j}", j, value) for sign, value in (("p", gain), ("n", -gain)) for j in range(channels)]
    cells = np.concatenate([np.maximum(parts.inputs.T, 0.0), np.maximum(-parts.inputs.T, 0.0)])
    words, bits = tuple(pin for pin, _, _ in pins), tuple(f"h{k}" for k in range(nodes))
    sources = [InputSource(f"s{pin}", pin, channel, value) for pin, channel, value in pins]
    return [*sources, Crossbar("x", words, bits, cells, 0.0, _range(cells))]


def _node_part(parts: _Parts) -> Iterator[Element]:
    """Edges between nodes, to mirrors and to ground; transformers and gyrators."""
    rows, columns = np.nonzero(np.triu(parts.between))
    values = parts.between[rows, columns]
    mirrored = np.unique(columns[values > 0])
    grounded = np.flatnonzero(parts.ground)
    ends = [(f"h{k}", f"m{j}" if g > 0 else f"h{j}") for k, j, g in zip(rows, columns, values, strict=True)]
    ends += [(f"h{k}", GROUND) for k in grounded]
    if ends:
        cells = np.concatenate([np.abs(values), parts.ground[grounded]])
        first, second = zip(*ends, strict=True)
        yield Edges("w", first, second, cells, 0.0, _range(cells))
    for k in mirrored:
        yield Transformer(f"t{k}", f"m{k}", GROUND, f"h{k}", GROUND, -1.0)
    for n, (k, j) in enumerate(np.argwhere(np.triu(parts.turned))):
        yield Gyrator(f"g{n}", f"h{k}", GROUND, f"h{j}", GROUND, float(parts.turned[k, j]))


def _range(cells: Array) -> float:
    """The largest conductance (S) that an array with these cells can hold."""
    return _SPARE * float(cells.max()) or 1.0
