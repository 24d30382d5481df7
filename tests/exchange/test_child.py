"""Work on files from elsewhere in a process of its own, whatever becomes of that process."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.errors import ConvergenceError, SimulatorError
from harness.exchange.simulators.base import run
from harness.exchange.simulators.child import Limits, in_child

QUICK = Limits(seconds=20.0, memory=300_000_000)


def crash(number: int) -> None:
    os.kill(os.getpid(), number)


def fail() -> None:
    raise ConvergenceError("it did not settle", sample=3, phase="free")


def test_results_and_errors_come_back() -> None:
    assert in_child("x", QUICK, pow, 2, 10) == 1024
    assert in_child("x", QUICK, os.getpid) != os.getpid()
    with pytest.raises(ConvergenceError, match="sample 3, free phase: it did not settle"):
        in_child("x", QUICK, fail)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_crash_is_a_sentence_and_the_next_work_is_done(number: signal.Signals) -> None:
    with pytest.raises(
        SimulatorError, match=rf"^ngspice crashed \({number.name}\) over these files; it may use 300 MB"
    ):
        in_child("ngspice", QUICK, crash, int(number))
    assert in_child("x", QUICK, pow, 2, 3) == 8


def test_an_exit_is_a_crash() -> None:
    with pytest.raises(SimulatorError, match=r"^ngspice crashed \(exit status 3\)"):
        in_child("ngspice", QUICK, os._exit, 3)


def test_work_without_end_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(SimulatorError, match=r"^ngspice was ended after 300 ms without a result"):
        in_child("ngspice", Limits(seconds=0.3), time.sleep, 60.0)
    assert time.monotonic() - started < 5
    assert in_child("x", QUICK, pow, 2, 3) == 8


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux keeps processes to a size")
def test_memory_is_limited_from_work_to_work() -> None:
    for _ in range(3):
        assert in_child("x", QUICK, np.ones, 10_000_000).size == 10_000_000
    with pytest.raises(SimulatorError, match="more than 300 MB of memory and 20 s would be needed"):
        in_child("x", QUICK, np.ones, 100_000_000)
    assert in_child("x", Limits(20.0, 2_000_000_000), np.ones, 50_000_000).size == 50_000_000


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.kill(os.getpid(), 11)", r"^x failed \(SIGSEGV; it may use 300 MB of memory and 20 s\): "),
        ("print('what', flush=True); raise SystemExit('why')", r"^x failed: what / why$"),
        ("b'1' * 10**9", r"^x failed: .*MemoryError"),
    ],
)
def test_programs_that_fail_are_a_sentence(code: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=message):
        run("x", python(code), tmp_path, QUICK)


def test_programs_say_what_they_say(tmp_path: Path) -> None:
    assert run("x", python("import os; print(os.getcwd())"), tmp_path, QUICK) == str(tmp_path.resolve())
    with pytest.raises(SimulatorError, match=r"nowhere could not be run: No such file or directory"):
        run("x", [str(tmp_path / "nowhere")], tmp_path, QUICK)


def test_a_program_without_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    code = "import subprocess as s; p = s.Popen(['sleep', '60']); open('pid', 'w').write(str(p.pid)); p.wait()"
    with pytest.raises(SimulatorError, match=r"^x was ended after 2 s without a result"):
        run("x", python(code), tmp_path, Limits(seconds=2.0))
    pid = int((tmp_path / "pid").read_text())
    limit = time.monotonic() + 20
    while is_alive(pid):  # a signal takes its time on a busy machine
        assert time.monotonic() < limit
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_a_simulator_that_is_a_shell_script_runs_no_file_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "first").write_text("touch ran\n")
    monkeypatch.setenv("BASH_ENV", str(tmp_path / "first"))
    (tmp_path / "script").write_text("#!/usr/bin/env bash\necho done\n")
    (tmp_path / "script").chmod(0o755)
    assert run("script", [str(tmp_path / "script")], tmp_path) == "done"
    assert not (tmp_path / "ran").exists()
