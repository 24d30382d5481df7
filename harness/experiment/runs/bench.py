"""``chip.kind = "bench"``: the profile of a board, whether it may be opened, and what a run keeps of its sessions."""

import ipaddress
import re
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from harness.chip.base import Chip
from harness.chip.bench.chip import BenchChip
from harness.chip.bench.journal import Session
from harness.chip.bench.line import Line, LineError
from harness.chip.bench.opening import open_board
from harness.chip.bench.profile import Profile, WriteMode, load_profile, packaged_profiles, profile_text
from harness.circuit import Circuit
from harness.errors import BoardError, ExperimentError, RunError
from harness.experiment.runs.trust import accepts_stale_calibrations, opens_any_board
from harness.files.reading import TABLE_LIMIT, read_bytes
from harness.files.writing import write_atomic
from harness.measurement import Access
from harness.training.runs import BENCH, Run
from harness.wording import command

LIBRARIES = {"scpi": ("pyvisa", "pyvisa-py"), "openmena": ("pyserial",), "arc2": ("pyarc2",), "nidaqmx": ("nidaqmx",)}
"""Packages that drive a board, by its protocol."""
_LOCAL = re.compile(r"TCPIP\d*::([^:]+|\[[^\]]+\])::\d+::SOCKET", re.IGNORECASE)
PROFILE, _CELLS, _CALIBRATION = "profile.toml", "cells.csv", "calibration.toml"
"""Files of a session, beside its cassette."""


@dataclass(frozen=True)
class Bench:
    """A board as an experiment names it."""

    profile: Path
    """A packaged profile's name, or the path of a TOML file."""
    resource: str | None
    """Its address, instead of the profile's."""

    def load(self) -> Profile:
        """Return the profile.

        Raises:
            ExperimentError: there is none, or a key or value in it is wrong.
        """
        return load_profile(str(self.profile))

    def check(self) -> None:
        """Refuse a board that cannot be trained, or must not be opened, before there is a run of it.

        Raises:
            ExperimentError: nothing is ever written to it, or it is not on this machine and the command has not named
                it.
        """
        profile = self.load()
        if profile.write.mode is WriteMode.NONE:
            raise ExperimentError(
                f"profile {self.profile}: write.mode = 'none' lets nothing be written, and so nothing be trained; "
                "harness evaluate and harness bench compare can look at such a board"
            )
        self._refuse_elsewhere(profile)

    def reach(self) -> None:
        """See that the board answers, so that no run is begun which could not be trained; nothing is applied to it.

        Raises:
            ChipError: it does not; says what to look at.
        """
        profile = self.load()
        try:
            board = open_board(profile, self.resource)
            try:
                board.identify()
            finally:
                board.close()
        except (BoardError, LineError) as error:
            served = "; a virtual board is started by harness bench serve" if str(self.profile) == "virtual" else ""
            raise BoardError(
                f"{error}; no run was begun: switch the board on, and see that its address is right (chip.resource, or "
                f"identity.resource of the profile){served}"
            ) from error

    @property
    def sha256(self) -> str:
        """The hash of the profile's text."""
        return sha256(profile_text(str(self.profile)).encode()).hexdigest()

    def recorded(self) -> dict[str, str]:
        """Return what a manifest says of it."""
        return {"kind": "bench", "profile": str(self.profile), "profile_sha256": self.sha256}

    def versions(self) -> dict[str, str]:
        """Return the versions of the installed packages that drive it."""
        found = {}
        for package in LIBRARIES[self.load().identity.protocol]:
            try:
                found[package] = metadata.version(package)
            except metadata.PackageNotFoundError:  # a session can be replayed without it
                continue
        return found

    def begin(self, run: Run, line: Line | None) -> Session:
        """Begin a session of a run with the board; `line` is None for the one that the profile says.

        Raises:
            RunError: the profile is another one than at the run's beginning, and the command does not name it, or the
                run's journal is damaged.
        """
        if line is None:
            check_profile(run, self)
            self.check()
        session = Session(run.path / BENCH, run.path / "checkpoint.npz", line, recorded=self.load().cassette)
        if session.cassette is not None:
            self._keep(session.cassette.parent)
        return session

    def open(self, circuit: Circuit, access: Access, session: Session | None, seed: int) -> BenchChip:
        """Open the board.

        Raises:
            ExperimentError: it is not on this machine, and the command has not named it.
            ChipError: it cannot be reached, or does not fit the circuit.
        """
        profile, line = self.load(), None if session is None else session.line
        if line is None:
            self._refuse_elsewhere(profile)
        return BenchChip(
            circuit,
            profile,
            self.resource,
            access=access,
            session=session,
            line=line,
            seed=seed,
            stale=accepts_stale_calibrations(),
        )

    def _refuse_elsewhere(self, profile: Profile) -> None:
        address = self.resource or profile.identity.resource
        if address is not None and not (opens_any_board() or _is_local(address)):
            raise ExperimentError(
                f"the board at {address} is not on this machine, and no file alone opens one; name its profile in the "
                f"command, if you mean it: --profile {self.profile}"
            )

    def _keep(self, folder: Path) -> None:
        """Put into the folder of a session what it takes to replay it: the profile, with its files beside it."""
        profile = self.load()
        channels, calibration = profile.channels, profile.calibration
        if channels.cells is not None:
            write_atomic(folder / _CELLS, read_bytes(channels.cells, ExperimentError, most=TABLE_LIMIT))
            channels = channels.model_copy(update={"cells": Path(_CELLS)})
        if calibration is not None:
            write_atomic(folder / _CALIBRATION, read_bytes(calibration.file, ExperimentError))
            calibration = calibration.model_copy(update={"file": Path(_CALIBRATION)})
        kept = profile.model_copy(update={"channels": channels, "calibration": calibration})
        write_atomic(folder / PROFILE, kept.to_toml().encode())

    def note(self, run: Run, chip: Chip) -> None:
        """Record the board, opened by `open`, that a run is trained on, or refuse another one than before.

        Raises:
            RunError: another board answers, and the command does not name the profile.
        """
        assert isinstance(chip, BenchChip)  # noqa: S101 - see `open`
        manifest = run.manifest
        about = manifest.get("chip")
        before = about if isinstance(about, dict) else {}
        then = before.get("identity")
        if then not in (None, chip.identity) and not opens_any_board():
            raise RunError(
                f"run {run.path} was trained on board {then!r}, and {chip.identity!r} answers; if you mean it, say so: "
                f"{command('train', '--resume', run.path, '--profile', self.profile)}"
            )
        told = {"identity": chip.identity, "firmware": chip.identity.rpartition(",")[2].strip()}
        if then != chip.identity:
            run.record({**manifest, "chip": {**before, **told}})


def packaged_boards() -> dict[str, str]:
    """Return what each packaged profile was tested against, by its name."""
    return {profile: load_profile(profile).tested for profile in packaged_profiles()}


def _is_local(address: str) -> bool:
    """Return whether an address is a socket of this machine."""
    found = _LOCAL.fullmatch(address.strip())
    if found is None:
        return False
    host = found[1].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_profile(run: Run, bench: Bench) -> None:
    """Refuse another profile than that of a run's beginning, unless the command names it.

    Raises:
        RunError: the profile's text differs.
    """
    chip = run.manifest.get("chip")
    then = chip.get("profile_sha256") if isinstance(chip, dict) else None
    if not opens_any_board() and then is not None and then != bench.sha256:
        raise RunError(
            f"run {run.path}: profile {bench.profile} is not as it was when the run began; put it back, or say that "
            f"you mean it: {command('train', '--resume', run.path, '--profile', bench.profile)}"
        )
