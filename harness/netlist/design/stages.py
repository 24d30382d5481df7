"""Stages as controlled sources: what stands in the cells of amplifiers, buffers, gyrators and transformers."""

from harness.circuit import BidirectionalAmplifier, Buffer, Gyrator, Transformer
from harness.netlist.design.naming import VSS
from harness.netlist.design.parts import Cccs, FixedVoltage, Instance, Role, Vccs, Vcvs

Stage = BidirectionalAmplifier | Buffer | Gyrator | Transformer
_TWO_PORT = ("a", "b", "c", "d")


def stage_cell(stage: Stage) -> tuple[Role, tuple[str, ...], list[Instance]]:
    """A stage's role, its ports in the order of its pins and with ground, and the controlled sources between them."""
    match stage:
        case BidirectionalAmplifier(gain=gain, offset=offset):
            control, shift = _shifted(offset)
            forward, sense = Vcvs("e1", "sense", VSS, control, VSS, gain), FixedVoltage("v1", "sense", "out", 0.0)
            return Role.AMPLIFIER, ("in", "out", VSS), [*shift, forward, sense, Cccs("f1", "in", VSS, "v1", 1 / gain)]
        case Buffer(gain=gain, offset=offset):
            control, shift = _shifted(offset)
            return Role.BUFFER, ("in", "out", VSS), [*shift, Vcvs("e1", "out", VSS, control, VSS, gain)]
        case Gyrator(conductance=g):
            return Role.GYRATOR, _TWO_PORT, [Vccs("g1", "a", "b", "c", "d", g), Vccs("g2", "c", "d", "a", "b", -g)]
        case Transformer(ratio=ratio):
            forward, sense = Vcvs("e1", "sense", "b", "c", "d", ratio), FixedVoltage("v1", "a", "sense", 0.0)
            return Role.TRANSFORMER, _TWO_PORT, [forward, sense, Cccs("f1", "d", "c", "v1", ratio)]


def _shifted(offset: float) -> tuple[str, list[Instance]]:
    """The net at v(in) + offset, and the source that makes it one."""
    return ("shifted", [FixedVoltage("v2", "shifted", "in", offset)]) if offset else ("in", [])
