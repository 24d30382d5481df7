"""Profiles: TOML files that say what a board is, what it can do, and what must never be done to it."""

import re
from collections import Counter
from collections.abc import Set
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from harness.errors import BoardError, ExperimentError
from harness.files.reading import parse_toml, read_text
from harness.measurement import Access, Capabilities, Clamp, Injection, Nudge, Spring
from harness.units import parse
from harness.validation import (
    Amperes,
    Flag,
    In,
    MismatchError,
    Number,
    Ohms,
    Seconds,
    Section,
    Siemens,
    Volts,
    Whole,
    places_in,
    validated,
)
from harness.wording import did_you_mean

_NUDGES: dict[str, type[Nudge]] = {"spring": Spring, "injection": Injection, "clamp": Clamp}
_LONG = {"min": 60.0, "h": 3600.0, "d": 86400.0}
"""Units of long times, s."""


def _duration(value: object) -> object:
    """Read texts such as ``"24 h"``, ``"90 min"`` or ``"2 d"`` as seconds; `Seconds` reads the rest."""
    text = value.strip() if isinstance(value, str) else ""
    for unit, seconds in _LONG.items():
        if text.endswith(unit):
            return seconds * parse(text.removesuffix(unit), "")
    return value


Age = Annotated[Seconds, BeforeValidator(_duration)]
"""s; also written in minutes, hours or days, such as ``"24 h"``."""
Channel = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
"""A channel of the board, by its number or by its name."""


class WriteMode(StrEnum):
    """Ways in which a wanted change of conductance is written."""

    SET = "set"
    """The board brings cells to conductances by means of its own, and they are read afterwards."""
    VERIFY = "verify"
    """Pulse, read, and again until a cell is near enough."""
    FIXED_STEP = "fixed-step"
    """One pulse in the direction of the wanted change."""
    OPEN_LOOP = "open-loop"
    """The wanted change over the step of a pulse, rounded."""
    STOCHASTIC = "stochastic"
    """The same, rounded up or down at random so that the mean is right."""
    NONE = "none"
    """Nothing is ever written or read: cells are believed to be what the host programs."""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"must be a regular expression ({error})") from error
    return text


class Identity(Section):
    """``[identity]``: the board's address, and what it must answer when it is asked who it is."""

    protocol: Literal["scpi", "openmena", "arc2", "nidaqmx"] = "scpi"
    """The language that it speaks."""
    resource: str | None = None
    """Its address, such as ``TCPIP0::127.0.0.1::5025::SOCKET``, ``ASRL/dev/ttyACM0::INSTR``, ``ARC2::0::efm03.bin``
    (number and firmware of an ArC TWO) or ``DAQ::Dev1``."""
    expects: Annotated[str, AfterValidator(_pattern)] = ""
    """A regular expression that its identity must match from the beginning."""
    firmware: str | None = None
    """The firmware that it must have: the last part of its identity."""
    baud: Annotated[Whole, Field(ge=300, le=10_000_000)] = 115_200
    """Bits per second of a serial line."""


class Channels(Section):
    """``[channels]``: the board's channels by the names of the circuit's pins.

    What is left out lies in the board's own order.
    """

    inputs: dict[str, Channel] | None = None
    """The channel of each input of the circuit, whose inputs are called x0, x1 and so on."""
    gain: Annotated[Number, In("V/V"), Field(gt=0)] = 1.0
    """Volts on a line for each V of an input, for a board without amplifiers of its own (any but ``scpi``): the
    circuit's ``network.input_gain``."""
    complements: dict[str, Channel] = Field(default_factory=dict)
    """Channels that get the negative of an input, on the same boards."""
    held: dict[Channel, Volts] = Field(default_factory=dict)
    """Voltages of channels that are held while samples are applied, such as a bias, on the same boards."""
    outputs: dict[str, tuple[Channel] | tuple[Channel, Channel]] | None = None
    """One channel for each output, or two for the plus and the minus node of a pair."""
    nodes: dict[str, Channel] | None = None
    """The channel of each node that can be read."""
    cells: Path | None = None
    """CSV file with the word and bit line of every cell (`harness.chip.bench.cells`)."""

    @field_validator("outputs", mode="before")
    @classmethod
    def _single_channels(cls, outputs: Any) -> Any:
        if not isinstance(outputs, dict):
            return outputs
        return {name: given if isinstance(given, list | tuple) else [given] for name, given in outputs.items()}


class Can(Section):
    """``[can]``: the board's abilities; rules that need more are refused before anything is written."""

    nudge: tuple[Literal["spring", "injection", "clamp"], ...] = ()
    """Nudges of the outputs: conductances to a voltage, currents, or voltages; none where only free phases
    settle."""
    access: Access = Access.OUTPUTS
    """The nodes that can be read."""
    batch: Annotated[Whole, Field(ge=1)] | None = None
    """Number of samples that go into one message; without it, any number."""
    small_signal: Literal[False] = False
    """Phases about an operating point, which no board can do."""
    tolerance: Annotated[Volts, Field(ge=0)] = 1e-6
    """Difference within which the same drive reads the same again."""

    @property
    def capabilities(self) -> Capabilities:
        """The abilities as the chip states them; larger batches are cut by the chip itself."""
        nudges: Set[type[Nudge]] = frozenset(_NUDGES[name] for name in self.nudge)
        return Capabilities(nudges, self.access, small_signal=self.small_signal, tolerance=self.tolerance)


class Timing(Section):
    """``[timing]``: how long things take, and how often they are tried."""

    settle: Annotated[Seconds, Field(ge=0)] = 0.0
    """Time between applying a sample and reading it."""
    settle_check: Annotated[Volts, Field(gt=0)] | None = None
    """Difference below which two readings are alike: samples are read again until they are; without it, once."""
    timeout: Annotated[Seconds, Field(gt=0, le=3600)] = 2.0
    """Time to wait for an answer, beside the time that samples take to settle."""
    retries: Annotated[Whole, Field(ge=0, le=100)] = 2
    """Number of times that a lost read, or one that has not settled, is repeated; pulses never are."""
    averages: Annotated[Whole, Field(ge=1, le=100_000)] = 1
    """Number of readings whose mean is taken."""
    dead_man: Annotated[Seconds, Field(gt=0)] | None = None
    """Time without a message after which the board grounds its pins by itself, where it can."""


class Limits(Section):
    """``[limits]``: what is checked before every message; nothing beyond is ever sent."""

    v_max: Annotated[Volts, Field(gt=0)]
    """Largest voltage at inputs and outputs, either way."""
    i_max: Annotated[Amperes, Field(gt=0)] | None = None
    """Largest current into outputs, either way."""
    pulse_v_max: Annotated[Volts, Field(gt=0)] | None = None
    """Largest voltage of a write pulse, either way."""
    pulse_s_max: Annotated[Seconds, Field(gt=0)] | None = None
    """Longest duration of a write pulse."""
    pulses_per_cell: Annotated[Whole, Field(ge=1)] | None = None
    """Number of pulses that a cell may have in its life."""
    writes_per_minute: Annotated[Number, Field(gt=0)] | None = None
    """Number of messages that write in a minute; beyond, the host waits."""
    on_exit: Literal["ground", "hold"] = "ground"
    """``ground`` grounds all pins at the end; ``hold`` leaves on them what was applied last."""


class Write(Section):
    """``[write]``: how cells are written."""

    mode: WriteMode = WriteMode.SET
    """How a wanted change of conductance is written."""
    tolerance: Annotated[Siemens, Field(ge=0)] = 0.0
    """Difference within which a cell is near enough to be left alone."""
    pulse_v: Annotated[Volts, Field(gt=0)] | None = None
    """Voltage of the pulses that raise a conductance."""
    pulse_v_down: Annotated[Volts, Field(gt=0)] | None = None
    """Voltage, without its sign, of the pulses that lower it; without the key, as upwards."""
    pulse_s: Annotated[Seconds, Field(gt=0)] | None = None
    """Duration of a pulse."""
    step: Annotated[Siemens, Field(gt=0)] | None = None
    """Conductance by which one pulse changes a cell."""
    threshold: Annotated[Siemens, Field(ge=0)] = 0.0
    """For ``fixed-step``: conductance that a wanted change must exceed."""
    max_pulses: Annotated[Whole, Field(ge=1)] = 100
    """Largest number of pulses for a cell in one write."""
    read_v: Annotated[Volts, Field(gt=0)] | None = None
    """Voltage at which cells are read, where the host applies it."""
    read_ohms: Annotated[Ohms, Field(gt=0)] | None = None
    """Volts at an output for each ampere through a cell, where cells are known from outputs alone (``openmena``)."""
    read_back_every: Annotated[Whole, Field(ge=0)] = 100
    """Steps after which all cells are read and compared with what is believed; 0 for never but at the beginning."""


class CalibrationReference(Section):
    """``[calibration]``: a file that `harness bench calibrate` has written."""

    file: Path
    """Path of the file, which starts at the profile."""
    max_age: Age = 86400.0
    """Age after which it is stale; also in minutes, hours or days, such as ``"24 h"``."""


class Profile(Section):
    """A profile is a TOML file that says what a board is, what it can do, and what must never be done to it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    """Name of the board in messages and manifests: letters, digits, ``_`` and ``-``."""
    tested: str = ""
    """A sentence on what the profile has been tested against."""
    identity: Identity = Identity()
    channels: Channels = Channels()
    can: Can = Can()
    timing: Timing = Timing()
    limits: Limits
    write: Write = Write()
    calibration: CalibrationReference | None = None
    cassette: Flag = True
    """True to record every message of a training, so that it can be replayed: about 20 B for each voltage."""

    def refuse_other(self, board: str) -> None:
        """Refuse another board, or another firmware, than is expected.

        Raises:
            BoardError: says what the board says.
        """
        expects, firmware = self.identity.expects, self.identity.firmware
        if expects and not re.match(expects, board):
            raise BoardError(f"the board says that it is {board!r}, and identity.expects of the profile is {expects!r}")
        if firmware is not None and board.rpartition(",")[2].strip() != firmware:
            raise BoardError(
                f"the board says that it is {board!r}, and identity.firmware of the profile is {firmware!r}"
            )

    def to_toml(self) -> str:
        """Return a file that reads back to the same profile, with every default in place."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    @model_validator(mode="after")
    def _limits_of_nudges(self) -> Self:
        if "injection" in self.can.nudge and self.limits.i_max is None:
            raise MismatchError("limits.i_max", "it is missing, and can.nudge has injection; say what outputs bear")
        if self.write.read_v is not None and self.write.read_v > self.limits.v_max:
            raise MismatchError("write.read_v", "it is beyond limits.v_max", self.write.read_v)
        if self.write.read_v is not None and self.identity.protocol == "scpi":
            raise MismatchError("write.read_v", "a board of protocol = 'scpi' reads its cells by itself; leave it out")
        return self

    @model_validator(mode="after")
    def _driven_lines(self) -> Self:
        channels = self.channels
        if self.identity.protocol == "scpi":
            made = {"gain": channels.gain != 1, "complements": channels.complements, "held": channels.held}
            for key in (name for name, given in made.items() if given):
                raise MismatchError(
                    f"channels.{key}", "a board of protocol = 'scpi' makes of its inputs what is needed"
                )
        elif channels.inputs is None or channels.outputs is None:
            raise MismatchError("channels", f"protocol = {self.identity.protocol!r} needs the inputs and the outputs")
        for name in channels.complements:
            if name not in (channels.inputs or {}):
                raise MismatchError(f"channels.complements.{name}", "there is no such input in channels.inputs")
        for name, volts in channels.held.items():
            if abs(volts) > self.limits.v_max:
                raise MismatchError(f"channels.held.{name}", "it is beyond limits.v_max", volts)
        driven = [*(channels.inputs or {}).values(), *channels.complements.values(), *channels.held]
        if twice := [channel for channel, count in Counter(driven).items() if count > 1]:
            raise MismatchError("channels.inputs", f"channel {twice[0]} is driven twice, here, as complement or held")
        return self

    @model_validator(mode="after")
    def _pulses(self) -> Self:
        write, limits = self.write, self.limits
        if write.mode in (WriteMode.SET, WriteMode.NONE):
            return self
        needed = {f"write.{key}": getattr(write, key) for key in ("pulse_v", "pulse_s", "tolerance")}
        needed |= {f"limits.{key}": getattr(limits, key) for key in ("pulse_v_max", "pulse_s_max")}
        if write.mode in (WriteMode.OPEN_LOOP, WriteMode.STOCHASTIC):
            needed["write.step"] = write.step
        for key, value in needed.items():
            if not value:
                raise MismatchError(key, f"it is missing, and write.mode = {write.mode.value!r} needs it")
        for name, most in (("pulse_v", "pulse_v_max"), ("pulse_v_down", "pulse_v_max"), ("pulse_s", "pulse_s_max")):
            if (getattr(write, name) or 0.0) > getattr(limits, most):
                raise MismatchError(f"write.{name}", f"it is beyond limits.{most}", getattr(write, name))
        return self


def packaged_profiles() -> list[str]:
    """Return the names of the profiles that come with the package."""
    files = (resources.files("harness.chip.bench") / "profiles").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def profile_text(name: str) -> str:
    """Return the text of a packaged profile by name, or of a file by its path.

    Raises:
        ExperimentError: there is none, or it cannot be read.
    """
    if name in packaged_profiles():
        return (resources.files("harness.chip.bench") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
    if not name.endswith(".toml"):
        known = did_you_mean(name, packaged_profiles(), or_list=True)
        raise ExperimentError(f"there is no profile {name!r}{known} (a file of one's own ends in .toml)")
    return read_text(Path(name), ExperimentError)


def read_profile(text: str, source: str, folder: Path = Path()) -> Profile:
    """Return the profile that a text describes.

    Args:
        text: TOML.
        source: what to call it in errors.
        folder: where relative paths in it start.

    Raises:
        ExperimentError: syntax, keys or values are wrong; names line, key, value, bound and the nearest right key.
    """
    found = validated(Profile, parse_toml(text, ExperimentError, source), places_in(text, source))
    channels, calibration = found.channels, found.calibration
    if channels.cells is not None:
        channels = channels.model_copy(update={"cells": folder / channels.cells})
    if calibration is not None:
        calibration = calibration.model_copy(update={"file": folder / calibration.file})
    return found.model_copy(update={"channels": channels, "calibration": calibration})


def load_profile(name: str) -> Profile:
    """Return a packaged profile by name, or one's own by the path of its TOML file.

    Raises:
        ExperimentError: there is none, or a key or value in it is wrong.
    """
    own = name not in packaged_profiles()
    return read_profile(profile_text(name), name if own else f"profile {name}", Path(name).parent)
