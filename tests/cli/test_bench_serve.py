"""`harness bench serve` as users start it and end it, and what is served."""

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa
from click.testing import CliRunner, Result

from harness.chip.bench.virtual.connection import Door, tcp_door
from harness.chip.bench.virtual.instrument import Instrument
from harness.chip.metering import set_step_key
from harness.cli.main import main
from harness.experiment.experiment import Experiment
from harness.measurement import Drive
from harness.studies.bench import serving
from tests.chip.bench.served import asked, listed, terminal_lines

IRIS = ["iris", "--chip", "nodal", "--port", "0"]
PULSED = ["--set", "programming.device=EpiRAM Ag:SiGe"]
ONE_CROSSBAR = [
    "xor",
    "--chip",
    "nodal",
    "--openmena",
    "--set",
    "network.hidden=[]",
    "--set",
    "network.bias=[4]",
    "--set",
    "update.rates=[1e-3]",
]
PULSE = "5.0,5e-06"


@contextmanager
def process(*arguments: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A board in a process of its own, and its VISA resource."""
    command = shutil.which("harness", path=os.path.dirname(sys.executable)) or "harness"
    with subprocess.Popen(
        [command, "bench", "serve", *arguments, "--json"],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as board:
        assert board.stdout is not None
        try:
            yield board, json.loads(board.stdout.readline())["resource"]
        finally:
            board.kill()


class Here:
    """Boards that are served in this process while a function talks to them, which a signal then ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._opened = queue.Queue[str | None]()
        for name in ("tcp_door", "terminal_door"):
            monkeypatch.setattr(serving, name, self._noting(getattr(serving, name)))

    def _noting(self, make: Callable[..., Door]) -> Callable[..., Door]:
        def noting(*arguments: int) -> Door:
            door = make(*arguments)
            self._opened.put(door.resource)
            return door

        return noting

    def serve(self, number: int, talk: Callable[[str], Any], *arguments: str) -> tuple[Result, Any]:
        """Serve until `talk` has ended; returns the command's result and what `talk` has found."""

        def host() -> Any:
            resource = self._opened.get()
            assert resource is not None, "nothing was served"
            try:
                return talk(resource)
            finally:
                os.kill(os.getpid(), number)

        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(host)
            result = CliRunner().invoke(main, ["bench", "serve", *arguments])
            self._opened.put(None)
            return result, found.result()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    monkeypatch.chdir(tmp_path)
    return Here(monkeypatch)


@contextmanager
def visa(resource: str) -> Iterator[Any]:
    manager = pyvisa.ResourceManager("@py")
    found = manager.open_resource(resource, read_termination="\n", write_termination="\n", timeout=20_000)
    yield found
    found.close()
    manager.close()


def test_a_killed_board_knows_its_cells_again(tmp_path: Path) -> None:
    options = [*IRIS, *PULSED, "--state", "board.npz"]
    with process(*options, cwd=tmp_path) as (board, resource):
        with visa(resource) as host:
            assert host.query("CELL:PULS?").startswith(PULSE)
            before = host.query(f"CELL:PULS 0,0,{PULSE},7,1,1,{PULSE},2;CELL:COND? 0,0,1,1")
        board.kill()
    with process(*options, cwd=tmp_path) as (board, resource), visa(resource) as host:
        assert host.query("CELL:COUN? 0,0,1,1;CELL:COUN?;CELL:COND? 0,0,1,1") == f"7,2;9;{before}"
        second = CliRunner().invoke(main, ["bench", "serve", *IRIS, "--state", str(tmp_path / "board.npz")])
        assert second.exit_code == 1
        assert "board.npz is in use by another process" in second.stderr
        host.query("SOUR:LIST 1,0.1,0.2,0.3,0.4;READ:NODE?")
        board.terminate()
        rest, errors = board.communicate(timeout=30)
        assert (board.returncode, rest) == (0, "")
        assert "the board is switched off: all pins are grounded" in errors
        assert "Traceback" not in errors
        assert "Warning" not in errors
    other = CliRunner().invoke(main, ["bench", "serve", "xor", *IRIS[1:], "--state", str(tmp_path / "board.npz")])
    assert other.exit_code == 1
    assert "board.npz: it is the state of another network than" in other.stderr


def test_a_run_is_served_with_its_trained_conductances(here: Here) -> None:
    trained = CliRunner().invoke(main, ["train", "iris", "--chip", "nodal", "--set", "training.epochs=1", "--run", "r"])
    assert trained.exit_code == 0
    with np.load("r/conductances.npz") as found:
        expected = [found[name] for name in found.files]
    words, bits = expected[0].shape

    def talk(resource: str) -> str:
        with visa(resource) as host:
            return str(host.query(f"CELL:COND? 0,0,{words - 1},{bits - 1},{words},{bits}"))

    result, read = here.serve(signal.SIGINT, talk, "r", "--port", "0")
    assert result.exit_code == 0
    assert read == listed(expected[0][0, 0], expected[0][-1, -1], expected[1][0, 0])
    assert re.fullmatch(
        r"serving iris \(nodal\): 4 inputs, 3 outputs, 40 nodes, 172 cells\n\[identity\]\n"
        r"resource = 'TCPIP0::127\.0\.0\.1::\d+::SOCKET'\n",
        result.stdout,
    )


def test_an_openmena_board_is_served_behind_a_terminal(here: Here) -> None:
    def talk(resource: str) -> list[str]:
        path = resource.removeprefix("ASRL").removesuffix("::INSTR")
        return terminal_lines(path, "INFEREMULTIPLE: 1 " + "2300 " * 8)

    result, lines = here.serve(signal.SIGTERM, talk, *ONE_CROSSBAR, "--json", *PULSED)
    assert lines[-2:] == ["INFEREMULTIPLE complete.", ""]
    assert result.exit_code == 0
    assert json.loads(result.stdout)["chip"] == ["ProgrammedChip", "nodal"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["iris", "--openmena", "--port", "0"], 2, "--openmena has neither"),
        (["iris", "--chip", "nodal", "--openmena"], 2, "an OpenMENA board has one crossbar of up to 8x8 cells"),
        (ONE_CROSSBAR, 2, "add [programming]"),
        (["iris", "--latency", "-1ms"], 2, "-1ms is below 0 s"),
        (["iris", "--dead-man", "3 V"], 2, "should be in s"),
        (["iris", "--port", "70000"], 2, "70000 is not in the range"),
        (["irsi"], 2, "iris"),
        ([*IRIS, "--state", "missing/board.npz"], 1, "missing/board.npz: there is no folder missing"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(
    options: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["bench", "serve", *options])
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())


def test_a_port_in_use_is_said_in_a_sentence() -> None:
    with tcp_door(0) as door:
        assert door.listener is not None
        port = str(door.listener.getsockname()[1])
        result = CliRunner().invoke(main, ["bench", "serve", "iris", "--chip", "nodal", "--port", port])
    assert result.exit_code == 1
    assert f"port {port} of 127.0.0.1 cannot be had" in result.stderr


REALISTIC = [
    "variation.spread=0.1",
    "variation.stuck_at_min=0.05",
    "imperfect.read_noise='1 mV'",
    "imperfect.adc_bits=10",
    "imperfect.adc_range='10 V'",
]


@pytest.mark.parametrize(
    "kind", [pytest.param("ngspice", marks=pytest.mark.ngspice), "nodal"], ids=["ngspice", "nodal"]
)
def test_imperfect_chips_are_served_as_they_are(kind: str) -> None:
    experiment = Experiment.load("iris", [f"chip.kind={kind}", *REALISTIC])
    rows = experiment.data.train.batch(slice(0, 3))
    with experiment.open_chip() as chip:
        set_step_key(chip, (1, 2))
        expected = chip.measure([Drive(rows.inputs)])[0].nodes
        board = Instrument(chip, "iris")
        found = asked(board, f"SYST:KEY 1,2;SOUR:LIST 3,{listed(rows.inputs)};READ:NODE?")
        assert found == listed(expected)
        assert asked(board, "CELL:COND? 0,0") == listed(chip.conductances[0][0, 0])
