"""Resistor–diode networks as ReLU monotone operator equilibrium networks, and back.

Chaffey 2025 (arXiv 2509.13793): with ideal diodes, a circuit of resistors, transformers, gyrators and sources settles
at the fixed point of a network of Winston & Kolter (2020, arXiv 2006.08591), z = ReLU(W z + U u + b).

Signs. Diode k has the voltage v_k = v(anode) − v(cathode) and the current i_k from anode to cathode. An ideal one obeys
i_k ≥ 0, v_k ≤ 0, i_k v_k = 0. Of i_k and −v_k, one is chosen as the variable z_k ≥ 0 and the other one is its slack
s_k ≥ 0 (`Variable`). The rest of the circuit is linear, s = H z + B u + bias, with H + Hᵀ ⪰ 0 because it is passive;
z is where

    0 ≤ z ⟂ H z + B u + bias ≥ 0,    y = C z + D u + dbias.

u are the values of the input channels (V, before any gain), y the circuit's outputs (V).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from scipy.linalg import LinAlgError, LinAlgWarning, solve
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import cg

from harness.circuit.arrays import Crossbar, Edges
from harness.circuit.circuit import Circuit, refuse_nonlinear
from harness.circuit.elements import CurrentSource, Diode, Gyrator, Resistor, Source, Transformer
from harness.circuit.part import GROUND
from harness.circuit.primitives import Current, Device, Vccs
from harness.devices import ZenerModel
from harness.errors import CircuitError
from harness.measurement import Array, Index
from harness.wording import counted

_NEGLIGIBLE = 1e-12
"""Fraction of the largest entry that rounding may leave of a zero."""
_RELATIVE = 1e-9
"""Fraction of the largest eigenvalue below which an eigenvalue or a coordinate counts as zero."""
_ROUNDING = 64 * float(np.finfo(float).eps)
"""Fraction of the largest voltage that a variable makes anywhere which cancellation may leave of a zero."""
_PARTS = Resistor | Crossbar | Edges | Transformer | Gyrator | Diode | Source | CurrentSource


class Variable(StrEnum):
    """Meaning of the variable z of a diode."""

    CURRENT = "current"
    """z = i (A), its slack is −v (V); needs a linear part that has a voltage there without the diode."""
    VOLTAGE = "voltage"
    """z = −v (V), its slack is i (A); needs a linear part that has a current there with the diode shorted."""


@dataclass(frozen=True, eq=False)
class MonotoneNetwork:
    """The complementarity problem 0 ≤ z ⟂ H z + B u + bias ≥ 0 over m diodes, and outputs y = C z + D u + dbias.

    For signs see the module. H + Hᵀ ⪰ 0 for every passive circuit. Where all variables are of one kind, H is symmetric
    if the circuit is reciprocal (no gyrators); where kinds are mixed, it is symmetric but for the sign of the entries
    between kinds, whatever the circuit: H_kj = −H_jk there.

    Raises:
        CircuitError: shapes do not fit or a number is not finite.
    """

    H: Array
    """``[m, m]``; Ω between currents, S between voltages, 1 between a current and a voltage."""
    B: Array
    """``[m, p]``; V (slack of a current) or A per V of input."""
    bias: Array
    """``[m]``; V or A."""
    C: Array
    """``[q, m]``; V per A or V."""
    D: Array
    """``[q, p]``; V/V."""
    dbias: Array
    """``[q]``; V."""
    variables: tuple[Variable, ...] = ()
    """The variable of each diode; all are currents if none are given."""
    diodes: tuple[str, ...] = field(default=(), repr=False)
    """Names."""

    def __post_init__(self) -> None:
        (m, p), q = self.B.shape, len(self.dbias)
        if not m:
            raise CircuitError("monotone network: it has no diode, so that its outputs follow its inputs linearly")
        wanted = {"H": (m, m), "B": (m, p), "bias": (m,), "C": (q, m), "D": (q, p), "dbias": (q,)}
        for name, shape in wanted.items():
            values = getattr(self, name)
            if values.shape != shape:
                raise CircuitError(f"monotone network: {name} has shape {values.shape}, it must be {shape}")
            if not np.isfinite(values).all():
                raise CircuitError(f"monotone network: an entry of {name} is not finite")
        if not self.variables:
            object.__setattr__(self, "variables", (Variable.CURRENT,) * m)
        if len(self.variables) != m:
            raise CircuitError(f"monotone network: {len(self.variables)} variables for {m} diodes")

    @property
    def smallest_eigenvalue(self) -> float:
        """Smallest eigenvalue of (H + Hᵀ)/2, in the units of H; its sign does not depend on them."""
        return float(np.linalg.eigvalsh((self.H + self.H.T) / 2)[0])

    @property
    def is_monotone(self) -> bool:
        """True where H + Hᵀ ⪰ 0 to rounding, judged with rows and columns brought to one size."""
        scaled = equilibrated(self.H)[0]
        return bool(np.linalg.eigvalsh(scaled + scaled.T)[0] >= -_RELATIVE)

    @property
    def is_symmetric(self) -> bool:
        """True where H = Hᵀ to rounding, judged with rows and columns brought to one size."""
        scaled = equilibrated(self.H)[0]
        return bool(np.abs(scaled - scaled.T).max() <= _RELATIVE)

    def slack(self, z: Array, inputs: Array) -> Array:
        """H z + B u + bias, ``[batch, m]``, from z ``[batch, m]`` and inputs (V, ``[batch, p]``)."""
        return z @ self.H.T + inputs @ self.B.T + self.bias

    def outputs(self, z: Array, inputs: Array) -> Array:
        """The outputs y (V), ``[batch, q]``, from z ``[batch, m]`` and inputs (V, ``[batch, p]``)."""
        return z @ self.C.T + inputs @ self.D.T + self.dbias

    def relu_form(self, alpha: float | None = None) -> tuple[Array, Array, Array]:
        """Return W = I − αH ``[m, m]``, U = −αB ``[m, p]`` and b = −α bias ``[m]`` of z = ReLU(W z + U u + b).

        The fixed point is the same for every α > 0. By default α is the `contracting_step`.

        Raises:
            CircuitError: α is not above 0.
        """
        step = contracting_step(self.H) if alpha is None else alpha
        if not 0 < step < np.inf:
            raise CircuitError(f"ReLU form: α = {step:g} must be finite and above 0")
        return np.eye(len(self.H)) - step * self.H, -step * self.B, -step * self.bias


def require_monotone(network: MonotoneNetwork) -> None:
    """Refuse a network whose fixed point need not exist or be the only one.

    Raises:
        CircuitError: H + Hᵀ has a negative eigenvalue; the message gives that of (H + Hᵀ)/2.
    """
    if not network.is_monotone:
        raise CircuitError(
            f"monotone network: the smallest eigenvalue of (H + Hᵀ)/2 is {network.smallest_eigenvalue:.4g} and must "
            f"not be below 0, as no passive circuit's is; raise the diagonal of H by as much"
        )


def equilibrated(H: Array) -> tuple[Array, Array]:  # noqa: N803 - the paper's letters
    """Return d H d with largest entries of about 1 in every row and column, and the factors d ``[m]``, all above 0.

    z = d z' turns one complementarity problem into the other: both are monotone or neither is. A symmetric positive
    definite H gets a diagonal of ones. Entries are brought near 1 by least squares of their logarithms (Curtis & Reid
    1972), which decides where largest entries do not, as between an Ω and an S; then rows are (Ruiz 2001).
    """
    size = np.maximum(np.abs(H), np.abs(H.T))
    present = (size > 0).astype(float)
    logarithm = -(present * np.log(np.where(size > 0, size, 1.0))).sum(axis=1)
    start, _ = cg(np.diag(present.sum(axis=1)) + present, logarithm, rtol=1e-3, maxiter=50)
    d = np.exp(start)
    for _ in range(20):
        largest = (size * d).max(axis=1, initial=0.0) * d
        d /= np.sqrt(np.where(largest > 0, largest, 1.0))
    return d[:, None] * H * d, d


def cocoercivity(H: Array) -> float:  # noqa: N803
    """The largest β with zᵀHz ≥ β |Hz|² for all z; one over the largest eigenvalue of a symmetric H, ∞ for 0.

    z ↦ z − αHz is nonexpansive for α ≤ 2β (Bauschke & Combettes 2011, §4). A skew part may leave none: then β ≤ 0.
    """
    left, sizes, right = np.linalg.svd(H)
    kept = sizes > _NEGLIGIBLE * sizes.max(initial=0.0)
    if not kept.any():
        return np.inf
    inverse = left[:, kept].T @ right[kept].T / sizes[kept]  # of H, on its range, which is also that of Hᵀ
    return float(np.linalg.eigvalsh((inverse + inverse.T) / 2)[0])


def contracting_step(H: Array) -> float:  # noqa: N803
    """The α for which z ↦ z − αHz contracts best, if it contracts for any.

    2/(λ_min + λ_max) for a symmetric positive definite H; for others that are strongly monotone, the best of nine below
    2β. Else β, for which the iteration of an H ⪰ 0 still converges; or 1/|H| where β is 0 and it need not.
    """
    largest, beta = float(np.linalg.norm(H, 2)), cocoercivity(H)
    if largest == 0:
        return 1.0
    if beta * largest <= _RELATIVE:
        return 1 / largest
    smallest = float(np.linalg.eigvalsh((H + H.T) / 2)[0])
    if smallest <= _RELATIVE * largest:
        return beta
    if np.abs(H - H.T).max() <= _RELATIVE * largest:
        return 2 / (smallest + largest)
    steps = beta * np.arange(1, 10) / 5
    return float(min(steps, key=lambda step: np.linalg.norm(np.eye(len(H)) - step * H, 2)))


def network_of(circuit: Circuit, variables: Sequence[Variable | str] | None = None) -> MonotoneNetwork:
    """The complementarity problem that a circuit solves if its diodes are ideal.

    Args:
        circuit: resistors, crossbars, edges, transformers, gyrators, sources and diodes.
        variables: of each diode, in the circuit's order. By default each is a current if the diodes before it allow
            that, else a voltage; a passive linear part always has such a description (Anderson, Newcomb & Zuidweg 1966,
            On the existence of H matrices).

    Raises:
        CircuitError: the circuit has an amplifier, a buffer or no diode; a wanted description does not exist; or the
            linear part has no unique solution. The message names the element, the diode or the node.
    """
    linear = _linear_part(circuit)
    wanted = _wanted(variables, linear.names)
    chosen = _chosen(linear, wanted)
    H, B, bias, volts = _hybrid(linear, chosen)  # noqa: N806
    if not circuit.parts(Vccs):
        sign = np.where([v is Variable.CURRENT for v in chosen], 1.0, -1.0)
        H = (H + sign[:, None] * H.T * sign) / 2  # noqa: N806 - what rounding left of reciprocity
    y = circuit.outputs_of(volts[:-1].T).T
    m = len(H)
    return MonotoneNetwork(H, B, bias, y[:, :m], y[:, m:-1], y[:, -1], chosen, linear.names)


@dataclass(frozen=True, eq=False)
class _Linear:
    """The linear part of a circuit, without its diodes. Nodes run over ``Circuit.nodes`` and, last, ground."""

    nodes: tuple[str, ...]
    admittance: Array
    """S, ``[nodes, nodes]``: currents that leave each node."""
    windings: Array
    """Transformers: the current of each leaves nodes in these shares, and their voltages add up to 0 in them."""
    ports: Array
    """Diodes: +1 at the anode, −1 at the cathode, ``[diodes, nodes]``."""
    names: tuple[str, ...]
    """Names of the diodes."""
    injected: Array
    """A into each node."""
    held: dict[int, Array]
    """V of nodes that sources hold: per V of each channel, and last the constant part, ``[channels + 1]``."""
    scale: float
    """S: a conductance of the circuit's own size."""


def _linear_part(circuit: Circuit) -> _Linear:
    _refuse_cascades(circuit)
    count = len(circuit.nodes) + 1
    diodes = circuit.parts(Device)
    if not diodes:
        raise CircuitError(f"circuit {circuit.name}: it has no diode, so that its outputs follow its inputs linearly")
    transformers = [e for e in circuit.elements if isinstance(e, Transformer)]
    windings = [_row(count, circuit.at(e.pins), [1.0, -1.0, -e.ratio, e.ratio]) for e in transformers]
    injected = np.zeros(count)
    for source in circuit.parts(Current):
        np.add.at(injected, circuit.at(source.nets), [-source.amperes, source.amperes])
    admittance, size = _admittance(circuit)
    ground = circuit.grounded_index[GROUND]
    held = {circuit.node_index[e.node]: e.row(circuit.channels) for e in circuit.sources}
    return _Linear(
        (*circuit.nodes, GROUND),
        admittance,
        np.array(windings).reshape(-1, count),
        np.array([_row(count, circuit.at(d.nets), [1.0, -1.0]) for d in diodes]),
        tuple(d.name[1:] for d in diodes),
        injected,
        {ground: np.zeros(circuit.channels + 1), **held},
        size,
    )


def _refuse_cascades(circuit: Circuit) -> None:
    refuse_nonlinear(circuit)
    for e in circuit.elements:
        if isinstance(e, Diode) and isinstance(e.model, ZenerModel):
            raise CircuitError(f"{e.title}: its breakdown is no part of a monotone network, whose diodes only block")
        if not isinstance(e, _PARTS):
            raise CircuitError(
                f"{e.title}: no part of a monotone network, which has one stage; take the circuit of one stage"
            )


def _admittance(circuit: Circuit) -> tuple[Array, float]:
    """Return the admittance matrix (S) of resistors, arrays and gyrators, and its entries' geometric mean size (S)."""
    pairs: list[tuple[Index | Array, ...]] = [circuit.fixed]
    pairs += [(*np.broadcast_arrays(*circuit.ends(array)), array.conductances) for array in circuit.arrays]
    first, second, g = (np.concatenate([np.ravel(part) for part in parts]) for parts in zip(*pairs, strict=True))
    turns = circuit.parts(Vccs)
    a, b, c, d = np.array([circuit.at(part.nets) for part in turns], dtype=np.intp).reshape(-1, 4).T
    turned = np.array([part.siemens for part in turns])
    row = np.concatenate([first, second, first, second, a, b, a, b])
    column = np.concatenate([first, second, second, first, c, d, d, c])
    siemens = np.concatenate([g, g, -g, -g, turned, turned, -turned, -turned])
    admittance = coo_matrix((siemens, (row, column)), shape=(len(circuit.nodes) + 1,) * 2).toarray()
    sizes = np.abs(siemens[siemens != 0])
    return admittance, float(np.exp(np.log(sizes).mean())) if len(sizes) else 1.0


def _row(size: int, at: Index, values: list[float]) -> Array:
    row = np.zeros(size)
    np.add.at(row, at, values)
    return row


def _wanted(variables: Sequence[Variable | str] | None, names: tuple[str, ...]) -> list[tuple[Variable, ...]]:
    """Return the variables that each diode may have, best first."""
    if variables is None:
        return [(Variable.CURRENT, Variable.VOLTAGE)] * len(names)
    if len(variables) != len(names):
        raise CircuitError(
            f"variables: {len(variables)} are given for {counted(len(names), 'diode')}; give one for each diode"
        )
    for name, variable in zip(names, variables, strict=True):
        if variable not in tuple(Variable):
            raise CircuitError(f"diode {name}: variable {variable!r} is neither 'current' nor 'voltage'")
    return [(Variable(variable),) for variable in variables]


def _chosen(linear: _Linear, wanted: list[tuple[Variable, ...]]) -> tuple[Variable, ...]:
    """Choose for each diode the first wanted variable that does not depend on those before it.

    With a conductance g added across every diode, the linear part always has an impedance Z, and the currents and
    voltages it allows are i = (I − gZ) J and −gv = gZ J for any J. Rows of both kinds that are independent make a
    description; in a passive circuit every beginning of one can be completed.
    """
    m, g = len(linear.names), linear.scale
    loaded = replace(linear, admittance=linear.admittance + g * linear.ports.T @ linear.ports)
    share = g * _hybrid(loaded, (Variable.CURRENT,) * m)[0]
    rows = {Variable.CURRENT: np.eye(m) - share, Variable.VOLTAGE: share}
    basis, chosen = np.zeros((m, m)), list[Variable]()
    for k, choices in enumerate(wanted):
        for variable in choices:
            row = rows[variable][k]
            for _ in range(2):  # Gram–Schmidt twice is enough (Kahan)
                row = row - basis[:k].T @ (basis[:k] @ row)
            if (size := np.linalg.norm(row)) > _RELATIVE:
                break
        else:
            raise CircuitError(_dependent(linear.names[k], choices[-1]))
        basis[k] = row / size
        chosen.append(variable)
    return tuple(chosen)


def _dependent(diode: str, variable: Variable) -> str:
    if variable is Variable.CURRENT:
        return f"diode {diode}: its current follows from those of other diodes, as no resistor leads on; take 'voltage'"
    return f"diode {diode}: its voltage follows from those of sources and other diodes in a loop; take 'current'"


def _hybrid(linear: _Linear, variables: tuple[Variable, ...]) -> tuple[Array, Array, Array, Array]:
    """H, B, bias, and all node voltages as an affine map of (z, u, 1), ``[nodes, m + p + 1]``.

    Modified nodal analysis; unknowns are the voltages of free nodes and the currents of transformers and of diodes
    whose variable is their voltage.
    """
    m, nodes = len(variables), len(linear.nodes)
    voltage = np.array([v is Variable.VOLTAGE for v in variables])
    columns = m + len(next(iter(linear.held.values())))
    known = np.zeros((nodes, columns))
    for node, volts in linear.held.items():
        known[node, m:] = volts
    free = np.array([node for node in range(nodes) if node not in linear.held], dtype=np.intp)
    branches = np.concatenate([linear.windings, linear.ports[voltage]])
    kirchhoff = -linear.admittance @ known
    kirchhoff[:, -1] += linear.injected
    kirchhoff[:, :m] -= linear.ports.T * ~voltage
    around = -branches @ known
    around[len(linear.windings) :, :m] -= np.eye(m)[voltage]
    inner, across = linear.admittance[np.ix_(free, free)], branches[:, free]
    matrix = np.block([[inner, across.T], [across, np.zeros((len(branches), len(branches)))]])
    names = [f"node {linear.nodes[k]}" for k in free] + ["a transformer's port"] * len(linear.windings)
    names += [f"diode {linear.names[k]}" for k in np.flatnonzero(voltage)]
    solved = _solved(matrix, np.concatenate([kirchhoff[free], around]), names)
    known[free] += solved[: len(free)]
    slack = -linear.ports @ known
    slack[voltage] = solved[len(free) + len(linear.windings) :]
    size = np.abs(np.concatenate([known, solved[len(free) :] / linear.scale])).max(axis=0)
    unit = np.where(voltage, linear.scale, 1.0)[:, None]
    slack[np.abs(slack) <= _ROUNDING * unit * size] = 0.0  # or equilibration would take noise for a coupling
    return slack[:, :m], slack[:, m:-1], slack[:, -1], known


def _solved(matrix: Array, right: Array, names: list[str]) -> Array:
    """The solution of matrix · x = right.

    Raises:
        CircuitError: there is no unique one; names what is least determined.
    """
    scaled, d = equilibrated(matrix)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", LinAlgWarning)
            return d[:, None] * solve(scaled, d[:, None] * right)
    except (LinAlgError, LinAlgWarning) as error:
        loose = names[int(np.abs(np.linalg.svd(scaled)[2][-1] * d).argmax())]
        raise CircuitError(
            f"{loose}: the linear part of the circuit leaves it undetermined; join it to ground by a conductance"
        ) from error
