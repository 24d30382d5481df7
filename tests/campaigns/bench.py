"""Campaign: a training on a served board loses its host, its board or its cable at random moments, and is resumed.

Whenever the host is gone, the board has to ground its pins by itself. In the end every pulse that the board has counted
stands in the run's journal, and no cell has had more than its limit.
"""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shutil import copytree
from zlib import crc32

import numpy as np

from harness.chip.bench.cells import addresses
from harness.chip.bench.journal import Journal
from harness.errors import HarnessError
from harness.experiment.experiment import Experiment
from tests.campaigns import children, killing
from tests.campaigns.mutation import pick
from tests.campaigns.subjects import TINY, BrokenCampaignError, Subjects, content_of, put
from tests.campaigns.tally import Tally
from tests.campaigns.verdicts import Fault, faults_of
from tests.chip.bench.faults import Proxy

KINDS = ("host", "board", "cable")
"""Who is killed, or pulled."""
_LIMITS = children.Limits(60.0, 120.0)
_MANY, _FEW = 5000, 30
"""Pulses that a cell may have: enough to end the training, or not."""
_SERVED = """
[programming]
law = "exponential"
pulses = 64
nonlinearity_up = 1.5
on_off_ratio = 20
cycle_to_cycle = 0.002
"""
_PROFILE = """\
name = "board"
[identity]
expects = "harness,virtual board"
[can]
nudge = ["spring"]
access = "nodes"
[timing]
timeout = "2 s"
dead_man = "10 s"
[limits]
v_max = "50 V"
pulse_v_max = "1 V"
pulse_s_max = "1 us"
pulses_per_cell = {most}
[write]
mode = "verify"
tolerance = "0.5 uS"
pulse_v = "1 V"
pulse_s = "1 us"
max_pulses = 20
read_back_every = 4
"""
_NOTICES = 0.2
"""s within which a board has noticed that its host is gone."""
_STARTS = 30.0
"""s within which a board can be reached."""


def run(kind: str, kills: int, subjects: Subjects, scratch: Path, tally: Tally) -> Iterator[int]:
    """Kill so many times; yields their number after each.

    Raises:
        BrokenCampaignError: the training fails undisturbed, or the board cannot be reached.
    """
    rng = np.random.default_rng([tally.seed, crc32(f"bench {kind}".encode())])
    seconds, done, lives = _undisturbed(scratch), 0, 0
    while done < kills:
        lab, finished = Lab(scratch / "case", _FEW if lives % 4 == 3 else _MANY), False
        lives += 1
        try:
            while done < kills and not finished:
                words = lab.next_words
                ended, faults = _killed(kind, lab, rng, seconds)
                finished = ended.code == 0 or lab.worn_out(ended)
                faults += lab.wrong_counts() if finished else []
                about, files = f"bench: {kind}, kill {done}", content_of(lab.folder)
                tally.note(f"bench: {kind}", ended, faults, files=files, words=words, about=about)
                done += 1
                yield kills
        finally:
            lab.close()


def _undisturbed(scratch: Path) -> float:
    lab = Lab(scratch / "case", _MANY)
    try:
        ended = lab.start_host().wait()
        faults = [*lab.left_on(), *lab.wrong_counts()]
    finally:
        lab.close()
    if ended.code != 0 or faults:
        raise BrokenCampaignError(f"a training on a board, undisturbed: {faults} {ended}")
    return ended.seconds


def _killed(kind: str, lab: "Lab", rng: np.random.Generator, seconds: float) -> tuple[children.Ended, list[Fault]]:
    """Start a training, let somebody die after a random while, and wait for the end."""
    host, at_once = lab.start_host(), pick(rng, (True, False))
    killed = not host.ended_within(rng.uniform(0, seconds))
    if killed:
        match kind:
            case "host":
                os.kill(host.pid, signal.SIGKILL)
            case "cable":
                lab.cable.cut()
            case "board":
                lab.kill_board()
                if at_once:
                    lab.start_board()
    ended = host.wait()
    if kind == "board" and killed and not at_once:
        lab.start_board()
    expected = kind == "host" and ended.signal == signal.SIGKILL
    faults = [fault for fault in faults_of(ended, lab.folder) if not (fault.what == "crash" and expected)]
    if ended.code not in (0, None) and not lab.worn_out(ended) and (kind == "host" or not killed):
        faults.append(Fault("lost", f"after a kill of {kind}: {ended.err.strip()[-150:]}"))
    return ended, faults + lab.left_on()


class Lab:
    """A folder with a host's files, a board, and a cable between them.

    Args:
        folder: is emptied.
        most: pulses that a cell may have.
    """

    def __init__(self, folder: Path, most: int) -> None:
        texts = {"tiny.toml": TINY, "served.toml": TINY + _SERVED, "board.toml": _PROFILE.format(most=most)}
        put(folder, {name: text.encode() for name, text in texts.items()})
        self.folder, self._most = folder, most
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.cable = _Cable(self._port)
        self.start_board()

    @property
    def next_words(self) -> list[str]:
        """The words that a user gives next."""
        if (self.folder / "out").exists():
            return ["train", "--resume", "out", "--profile", "board.toml"]
        address = f"chip.resource=TCPIP0::127.0.0.1::{self.cable.port}::SOCKET"
        return ["train", "tiny.toml", "--profile", "board.toml", "--set", address, "--run", "out"]

    def start_host(self) -> children.Child:
        """Begin the training, or go on with it."""
        return children.start(self.next_words, self.folder, limits=_LIMITS, before=killing.save_every_batch)

    def start_board(self) -> None:
        """Switch the board on, and wait until it can be reached."""
        words = ["bench", "serve", "served.toml", "--port", str(self._port), "--state", "state.npz"]
        self._board = children.start(words, self.folder, limits=_LIMITS)
        until = time.monotonic() + _STARTS
        while time.monotonic() < until and not self._board.ended_within(0.01):
            with suppress(OSError):
                self._ask("OUTP?")
                return
        raise BrokenCampaignError(f"the board cannot be reached: {self._board.said}")

    def kill_board(self) -> None:
        """Let the power of the board fail."""
        os.kill(self._board.pid, signal.SIGKILL)
        self._board.wait()

    def worn_out(self, ended: children.Ended) -> bool:
        """Return True where a training has ended because a cell must have no more pulses."""
        return self._most == _FEW and ended.code == 1 and "limits.pulses_per_cell" in ended.err

    def left_on(self) -> list[Fault]:
        """Return a fault where the board has something on its pins, or had it until it is asked."""
        time.sleep(_NOTICES)
        before = self._board.said
        applied = self._ask("OUTP?")
        if applied != "0" or "all pins are grounded" in self._board.said.removeprefix(before):
            return [Fault("live", f"the host is gone, and pins were not grounded (OUTP? {applied})")]
        return []

    def wrong_counts(self) -> list[Fault]:
        """Return faults of the pulses that the board and the journal have counted."""
        places = np.concatenate(addresses(Experiment.from_file(self.folder / "tiny.toml").circuit))
        told = self._ask(f"CELL:COUN? {','.join(map(str, places.ravel().tolist()))}")
        counted = np.array(told.split(","), np.int64)
        found = [Fault("limit", f"a cell has had {counted.max()} pulses")] if counted.max() > self._most else []
        copied = self.folder.parent / "journal"
        put(copied, {})
        copytree(self.folder / "out" / "bench", copied, dirs_exist_ok=True)
        try:
            journal = Journal(copied)
        except HarnessError as error:
            return [*found, Fault("journal", str(error))]
        if not np.array_equal(journal.had(places), counted):
            return [*found, Fault("journal", f"{journal.pulses} pulses, and the board has counted {counted.sum()}")]
        return found

    def close(self) -> None:
        """Switch everything off."""
        self.cable.close()
        with suppress(ProcessLookupError):
            os.kill(self._board.pid, signal.SIGTERM)
        self._board.wait()

    def _ask(self, message: str) -> str:
        """Ask the board itself, beside the cable."""
        with socket.create_connection(("127.0.0.1", self._port), 5) as line:
            line.sendall(f"{message}\n".encode())
            answer = line.makefile().readline().strip()
        if not answer:
            raise ConnectionError(f"no answer to {message}")
        return answer


class _Cable:
    """A proxy in a process of its own, since its threads must not be there when this process forks."""

    def __init__(self, port: int) -> None:
        told, tell = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            with suppress(BaseException):
                proxy = Proxy(port)
                signal.signal(signal.SIGUSR1, lambda *_: proxy.cut())
                os.write(tell, f"{proxy.port}\n".encode())
                while os.getppid() != 1:
                    time.sleep(1)
            os._exit(0)
        os.close(tell)
        with os.fdopen(told) as lines:
            self.port = int(lines.readline())

    def cut(self) -> None:
        """Pull the cable, and plug it in again."""
        os.kill(self._pid, signal.SIGUSR1)

    def close(self) -> None:
        """End the process."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
