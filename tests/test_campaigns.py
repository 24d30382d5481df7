"""Short forms of the campaigns of `tests.campaigns`, and what their verdicts find."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def campaign(folder: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaigns", "--json", "--failures", str(folder), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["passed"] == (done.returncode == 0), done.stderr
    return found


def test_damaged_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    kinds = ("edges", "foundry", "pulses", "data", "package-papers")
    found = campaign(tmp_path, "--cases", "12", *kinds)
    assert found["passed"], found
    assert found["cases"] == 12 * len(kinds)


def test_a_kill_at_a_file_operation_loses_nothing(tmp_path: Path) -> None:
    commands = ("show", "conductances export", "conductances import", "train from", "sweep of a run", "regress update")
    found = campaign(tmp_path, "--step", "17", *(f"kills: {command}" for command in commands))
    assert found["passed"], found
    assert all(kind["cases"] for kind in found["kinds"].values())


def test_random_kills_change_no_bit(tmp_path: Path) -> None:
    found = campaign(tmp_path, "--kills", "6", "randomly: training")
    assert found["passed"], found
    assert found["cases"] == 6


@pytest.mark.ngspice
def test_start_up_files_have_no_influence(tmp_path: Path) -> None:
    found = campaign(tmp_path, "--step", "20", "startup: working directory")
    assert found["passed"], found


WRONG = {
    "traceback": "raise KeyError('x')",
    "silent": "sys.exit(1)",
    "crash": "os.kill(os.getpid(), signal.SIGSEGV)",
    "executed": "open('EXECUTED', 'w')",
    "warning": "warnings.warn('odd', UserWarning)",
    "words": "sys.exit(\"harness: 'NoneType' is no list\")",
    "processes": "os.fork() or time.sleep(60)",
}
"""What a command could do, by what a campaign has to call it."""


def test_verdicts_find_what_is_wrong(tmp_path: Path) -> None:
    """In commands that do one wrong thing before they begin."""
    code = f"""if True:
        import json, os, signal, sys, time, warnings
        from pathlib import Path
        import harness.cli  # else the time of its import counts
        from tests.campaigns import children, verdicts
        children.GRACE = 2.0
        found = {{}}
        for what, code in {WRONG!r}.items():
            folder = Path({str(tmp_path)!r}) / what
            folder.mkdir()
            ended = children.run(["--version"], folder, before=lambda: exec(code))
            found[what] = [fault.what for fault in verdicts.faults_of(ended, folder)]
        for what, handler in {{"hang": signal.SIG_IGN, "slow": signal.SIG_DFL}}.items():
            def before():
                signal.signal(signal.SIGINT, handler)
                while time.process_time() < 1:  # of this child
                    pass
                time.sleep(60)
            ended = children.run(["--version"], folder, before=before, limits=children.Limits(0.2))
            found[what] = [ended.interrupted, ended.hung]
        print(json.dumps(found))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    expected: dict[str, Any] = {what: [what] for what in WRONG}
    assert json.loads(done.stdout) == {**expected, "hang": [True, True], "slow": [True, False]}
