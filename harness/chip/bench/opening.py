"""Opening of the board that a profile describes: which language goes over which line."""

from harness.chip.bench.board import Board
from harness.chip.bench.boards import scpi
from harness.chip.bench.boards.arc2 import ArcTwo
from harness.chip.bench.boards.daq import MultifunctionDevice, wiring
from harness.chip.bench.boards.openmena import OpenMena
from harness.chip.bench.line import Line
from harness.chip.bench.profile import Profile
from harness.chip.bench.transport import arc2, nidaqmx, serial, visa
from harness.errors import BoardError


def open_line(profile: Profile, resource: str | None = None) -> Line:
    """Open the line to a board.

    Args:
        profile: of the board.
        resource: its address, instead of the profile's.

    Raises:
        ChipError: the library for such lines is not installed, the profile has no address, or nothing answers there.
    """
    address = resource or profile.identity.resource
    if address is None:
        raise BoardError(f"profile {profile.name} has no identity.resource; give the board's address as chip.resource")
    match profile.identity.protocol:
        case "scpi":
            return visa.open_line(address, profile)
        case "openmena":
            return serial.open_line(address, profile)
        case "arc2":
            return arc2.open_line(address)
        case "nidaqmx":
            return nidaqmx.open_line(address, wiring(profile))


def open_board(profile: Profile, resource: str | None = None, line: Line | None = None) -> Board:
    """Open the board that a profile describes.

    Args:
        profile: of the board.
        resource: its address, instead of the profile's.
        line: an open line to it, such as one that records or replays; None opens one.

    Raises:
        ChipError: see `open_line`, or the board does not answer as its language wants.
    """
    opened = line or open_line(profile, resource)
    match profile.identity.protocol:
        case "scpi":
            return scpi.open_board(profile, opened)
        case "openmena":
            return OpenMena(profile, opened)
        case "arc2":
            return ArcTwo(profile, opened)
        case "nidaqmx":
            return MultifunctionDevice(profile, opened)
