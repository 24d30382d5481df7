"""A chip: our nodal solver behind a read-out amplifier whose gain is not quite 1."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit
from harness.experiment.chip import Request
from harness.measurement import Drive, Reading
from harness.validation import Number, Section, Volts


class Board(NodalChip):
    """Outputs are read with a gain and an offset."""

    gain, offset = 1.0, 0.0

    def _settle(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        return tuple(replace(r, outputs=self.gain * r.outputs + self.offset) for r in super()._settle(drives))


class BoardPlugin:
    """What the entry point names."""

    class Options(Section):
        """``[chip.options]``."""

        gain: Annotated[Number, Field(gt=0, le=2)] = 1.0
        offset: Annotated[Volts, Field(ge=-1, le=1)] = 0.0
        """V."""

    def build(self, options: Options, circuit: Circuit, request: Request) -> Board:
        """The board with a circuit on it."""
        made = Board(circuit, access=request.access, settling_time=request.settling_time)
        made.gain, made.offset = options.gain, options.offset
        return made


board = BoardPlugin()
